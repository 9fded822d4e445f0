// What a client that has only the WebSocket of a browser can see of a relay. Runs in Node with the package ws, and in a browser.

const HELLO = 0x81, WELCOME = 0x82, ANSWER = 0x83, INCOMING = 0x84, OPENED = 0x86, CLOSED = 0x87, PONG = 0x89;
const REGISTER = 0x01, CONNECT = 0x03, ACCEPT = 0x04, PING = 0x09, FORWARD = 0x20;
const FRAME_MAX = 65566;
const PATIENCE = 10000;

function expect(got, wanted, what) {
  if (String(got) !== String(wanted)) throw new Error(`${what} is ${got}, not ${wanted}`);
}

function inTime(promise, what) {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`${what} does not come`)), PATIENCE); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A WebSocket whose messages are awaited one by one.
class Peer {
  constructor(WebSocket, url, protocols = ['phantom.1']) {
    this.socket = protocols.length ? new WebSocket(url, protocols) : new WebSocket(url);
    this.socket.binaryType = 'arraybuffer';
    this.came = [];
    this.waiting = [];
    this.opened = new Promise((yes) => { this.socket.onopen = () => yes(true); });
    this.closed = new Promise((yes) => {
      this.socket.onclose = ({ code, reason, wasClean }) => yes({ code, reason, wasClean });
    });
    this.socket.onerror = () => {};
    this.socket.onmessage = ({ data }) => {
      const message = new Uint8Array(data);
      const waiting = this.waiting.shift();
      if (waiting) waiting(message); else this.came.push(message);
    };
  }

  async open() {
    const opened = await inTime(Promise.race([this.opened, this.closed]), 'the handshake');
    if (opened !== true) throw new Error(`not let in: ${opened.code} ${opened.reason}`);
    return this;
  }

  next() {
    if (this.came.length) return Promise.resolve(this.came.shift());
    return inTime(new Promise((yes) => { this.waiting.push(yes); }), 'a message');
  }

  // The next message, which is of this kind and length.
  async frame(kind, length) {
    const message = await this.next();
    expect(message[0], kind, 'the kind of the frame');
    if (length) expect(message.length, length, 'the length of the frame');
    return message;
  }

  send(...parts) {
    const bytes = parts.flatMap((part) => (typeof part === 'number' ? [part] : [...part]));
    this.socket.send(new Uint8Array(bytes));
  }

  async join() {
    await this.open();
    const hello = await this.frame(HELLO, 19);
    expect(hello[1], 1, 'the version');
    this.send(REGISTER, 1, 1);
    const welcome = await this.frame(WELCOME, 62);
    this.id = welcome.slice(1, 7);
    if (!/^[A-Za-z0-9]{6}$/.test(String.fromCharCode(...this.id))) throw new Error('the ID is none');
    return this;
  }

  // How the relay closes after this has been sent.
  async closedAfter(message) {
    this.socket.send(message);
    const { code, wasClean } = await inTime(this.closed, 'the close');
    expect(wasClean, true, 'whether the close was clean');
    return code;
  }
}

// Two peers with a channel between them.
async function pair(WebSocket, url) {
  const a = await new Peer(WebSocket, url).join();
  const b = await new Peer(WebSocket, url).join();
  const nonces = [new Array(16).fill(7), new Array(16).fill(9)];
  a.send(CONNECT, [0, 0, 0, 1], b.id, nonces[0]);
  const answer = await a.frame(ANSWER, 6);
  expect(answer[5], 1, 'the answer');
  const incoming = await b.frame(INCOMING, 27);
  expect(incoming.slice(5, 11), a.id, 'the source');
  b.send(ACCEPT, incoming.slice(1, 5), nonces[1]);
  for (const [peer, by, nonce] of [[a, 0, nonces[1]], [b, 1, nonces[0]]]) {
    const opened = await peer.frame(OPENED, 26);
    expect(opened[1], by, 'by whom it was opened');
    peer.channel = opened.slice(6, 10);
    expect(opened.slice(10), nonce, 'the nonce of the other side');
  }
  return [a, b];
}

function forward(channel, length, fill) {
  const message = new Uint8Array(length).map((_, at) => (at * 31 + fill) & 0xff);
  message[0] = FORWARD;
  message.set(channel, 1);
  return message;
}

// Each check by its name; what it throws is why it failed.
function checks(WebSocket, url) {
  const join = () => new Peer(WebSocket, url).join();
  const greeted = async () => {
    const peer = await new Peer(WebSocket, url).open();
    await peer.frame(HELLO, 19);
    return peer;
  };
  const refused = (protocols) => async () => {
    const peer = new Peer(WebSocket, url, protocols);
    const { code } = await inTime(peer.closed, 'the refusal');
    expect(code, 1006, 'the code');
  };
  return {
    'HELLO, REGISTER, WELCOME under phantom.1, without extensions': async () => {
      const peer = await join();
      expect(peer.socket.protocol, 'phantom.1', 'the subprotocol');
      expect(peer.socket.extensions, '', 'the extensions');
    },
    'phantom.1 is found among other subprotocols': async () => {
      const peer = await new Peer(WebSocket, url, ['chat', 'phantom.1', 'soap']).join();
      expect(peer.socket.protocol, 'phantom.1', 'the subprotocol');
    },
    'another subprotocol is refused': refused(['chat']),
    'no subprotocol is refused': refused([]),
    'PING and PONG': async () => {
      const peer = await join();
      peer.send(PING, [1, 2, 3, 4]);
      expect(await peer.frame(PONG, 5), [PONG, 1, 2, 3, 4], 'PONG');
    },
    'two of them pair, and messages of every length go both ways': async () => {
      const [a, b] = await pair(WebSocket, url);
      for (const length of [6, 125, 126, 127, 65535, 65536, FRAME_MAX]) {
        for (const [from, to] of [[a, b], [b, a]]) {
          from.socket.send(forward(from.channel, length, length));
          expect(await to.frame(FORWARD, length), forward(to.channel, length, length), `a message of ${length}`);
        }
      }
    },
    'a thousand messages arrive in order': async () => {
      const [a, b] = await pair(WebSocket, url);
      for (let n = 0; n < 1000; n += 1) a.socket.send(forward(a.channel, 6 + n, n));
      for (let n = 0; n < 1000; n += 1) expect(await b.frame(FORWARD, 6 + n), forward(b.channel, 6 + n, n), `message ${n}`);
    },
    'who leaves is missed, and hears its own code': async () => {
      const [a, b] = await pair(WebSocket, url);
      a.socket.close(1000, 'bye');
      const { code, wasClean } = await inTime(a.closed, 'the close');
      expect(`${code} ${wasClean}`, '1000 true', 'the close');
      const closed = await b.frame(CLOSED, 6);
      expect(closed[5], 2, 'the reason');
    },
    'a code of an application comes back': async () => {
      const peer = await join();
      peer.socket.close(4321, 'a reason');
      const { code, wasClean } = await inTime(peer.closed, 'the close');
      expect(`${code} ${wasClean}`, '4321 true', 'the close');
    },
    'text is closed with 4004': async () => expect(await (await join()).closedAfter('text'), 4004, 'the code'),
    'one byte too many is closed with 4003': async () => {
      expect(await (await join()).closedAfter(new Uint8Array(FRAME_MAX + 1)), 4003, 'the code');
    },
    'an unknown kind is closed with 4002': async () => {
      expect(await (await join()).closedAfter(new Uint8Array([0x7f, 1, 2])), 4002, 'the code');
    },
    'a wrong length is closed with 4001': async () => {
      expect(await (await join()).closedAfter(new Uint8Array([PING, 1])), 4001, 'the code');
    },
    'an empty message is closed with 4001': async () => {
      expect(await (await join()).closedAfter(new Uint8Array([])), 4001, 'the code');
    },
    'PING before REGISTER is closed with 4005': async () => {
      expect(await (await greeted()).closedAfter(new Uint8Array([PING, 0, 0, 0, 0])), 4005, 'the code');
    },
    'a second REGISTER is closed with 4006': async () => {
      expect(await (await join()).closedAfter(new Uint8Array([REGISTER, 1, 1])), 4006, 'the code');
    },
    'another version is closed with 4007': async () => {
      expect(await (await greeted()).closedAfter(new Uint8Array([REGISTER, 9, 1])), 4007, 'the code');
    },
  };
}

// One line for each check.
async function runChecks(named) {
  const lines = [];
  for (const [name, check] of Object.entries(named)) {
    try {
      await check();
      lines.push(`ok ${name}`);
    } catch (error) {
      lines.push(`not ok ${name}: ${error.message}`);
    }
  }
  return lines;
}

export { Peer, checks, expect, forward, inTime, pair, runChecks };
