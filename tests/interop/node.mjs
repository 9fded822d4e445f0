// The package ws of Node talks to a relay: `node node.mjs URL`, run by `run`.

import { createRequire } from 'node:module';
import { Peer, checks, expect, forward, inTime, pair, runChecks } from './checks.mjs';

// The package lies where the runner has put it, not beside this file.
const { WebSocket } = createRequire(`${process.env.INTEROP_MODULES}/`)('ws');
const url = process.argv[2];
const once = (socket, event) => inTime(new Promise((yes) => { socket.once(event, yes); }), event);

const more = {
  'permessage-deflate is offered and not taken': async () => {
    const socket = new WebSocket(url, ['phantom.1'], { perMessageDeflate: { threshold: 0 } });
    const request = socket._req.getHeader('Sec-WebSocket-Extensions');
    expect(String(request).includes('permessage-deflate'), true, 'whether it was offered');
    await once(socket, 'open');
    expect(socket.extensions, '', 'the extensions');
    socket.terminate();
  },
  'a refusal says why': async () => {
    const socket = new WebSocket(url, ['chat']);
    socket.on('error', () => {});
    const response = await inTime(new Promise((yes) => { socket.once('unexpected-response', (_, got) => yes(got)); }), 'it');
    expect(response.statusCode, 400, 'the status');
    let text = '';
    for await (const part of response) text += part;
    if (!text.includes('phantom.1')) throw new Error(`it says: ${text}`);
    socket.terminate();
  },
  'a ping is answered with its payload': async () => {
    const { socket } = await new Peer(WebSocket, url).join();
    for (const payload of ['', 'payload', 'x'.repeat(125)]) {
      socket.ping(payload);
      expect(await once(socket, 'pong'), payload, 'the pong');
    }
  },
  'a pong unasked changes nothing': async () => {
    const peer = await new Peer(WebSocket, url).join();
    peer.socket.pong('unasked');
    peer.send(0x09, [0, 0, 0, 1]);
    await peer.frame(0x89, 5);
  },
  'a message in fragments, with pings between them, arrives whole': async () => {
    const [a, b] = await pair(WebSocket, url);
    for (const [length, size] of [[300, 1], [65566, 1000], [65566, 65565]]) {
      const message = forward(a.channel, length, 5);
      for (let at = 0; at < length; at += size) {
        a.socket.send(message.subarray(at, at + size), { binary: true, fin: at + size >= length });
        if (at % 50000 === 0) a.socket.ping('between');
      }
      expect(await b.frame(0x20, length), forward(b.channel, length, 5), 'the message');
    }
  },
  'without a mask it is closed with 4001': async () => {
    const { socket, closed } = await new Peer(WebSocket, url).join();
    socket.send(new Uint8Array([9, 0, 0, 0, 1]), { binary: true, mask: false });
    expect((await inTime(closed, 'the close')).code, 4001, 'the code');
  },
  'a close without a code is answered': async () => {
    const { socket, closed } = await new Peer(WebSocket, url).join();
    socket.close();
    expect((await inTime(closed, 'the close')).code, 1005, 'the code');
  },
};

for (const line of await runChecks({ ...checks(WebSocket, url), ...more })) console.log(line);
process.exit(0);
