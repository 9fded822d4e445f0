// A browser engine talks to a relay: `node browser.mjs URL CHROMIUM`, run by `run`.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.INTEROP_MODULES}/`)('playwright-core');
const [url, executablePath] = process.argv.slice(2);
const source = readFileSync(new URL('checks.mjs', import.meta.url), 'utf8').replace(/^export .*$/m, '');

const args = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--ignore-certificate-errors',
];
// A new, empty user data folder each time: playwright makes and removes it.
const browser = await chromium.launch({ executablePath, headless: true, args });
try {
  const page = await browser.newPage();
  console.log(`# ${browser.browserType().name()} ${browser.version()}`);
  const lines = await page.evaluate(`(async () => { ${source}; return runChecks(checks(WebSocket, ${JSON.stringify(url)})); })()`);
  for (const line of lines) console.log(line);
} finally {
  await browser.close();
}
