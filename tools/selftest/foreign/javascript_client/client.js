#!/usr/bin/env node
// A client of PySocket Chat under the line contract: node client.js HOST PORT
'use strict';

const net = require('node:net');
const { isUtf8 } = require('node:buffer');

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const MAX_FRAME = 4096;
const MAX_WAITING_COMMANDS = 1000;

// ---------------------------------------------------------------- the words of the protocol

const octets = (text) => Buffer.byteLength(text, 'utf8');
const sameName = (a, b) => a.toLowerCase() === b.toLowerCase();

const TYPES = {
  name: { fits: (s) => /^[A-Za-z][A-Za-z0-9_-]{0,31}$/.test(s) },
  token: { fits: (s) => /^[!-~]{1,64}$/.test(s) },
  version: { fits: (s) => /^[1-9][0-9]{0,3}$/.test(s) },
  text: {
    rest: true,
    fits: (s) => s !== '' && !/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(s) && octets(s) <= 2000,
  },
  availability: { fits: (s) => s === 'free' || s === 'busy' },
  count: { fits: (s) => /^(0|[1-9][0-9]{0,9})$/.test(s) },
  reason: { fits: (s) => /^(left|declined|unanswered|quit|lost|timeout)$/.test(s) },
  profiles: { rest: true, fits: (s) => /^[a-z]+( [a-z]+)*$/.test(s) && s.length <= 200 },
  verb: { fits: (s) => /^([A-Z]{1,32}|\*)$/.test(s) },
  code: { fits: (s) => /^[a-z]+(-[a-z]+)*$/.test(s) && s.length <= 32 },
  words: {
    rest: true,
    fits: (s) => s !== '' && !/[\u0000-\u001f\u007f-\u009f]/.test(s) && octets(s) <= 200,
  },
};

const REPLIES = {
  'OK HELLO': ['version', 'profiles'],
  'OK NAME': ['name'],
  'OK WHO': ['count'],
  'OK CHAT': ['name'],
  'OK LEAVE': [],
  'OK QUIT': [],
  USER: ['name', 'availability'],
  PONG: ['token'],
  CALL: ['name'],
  ACCEPTED: ['name'],
  MISSED: ['name'],
  MSG: ['text'],
  GONE: ['name', 'reason'],
  PING: ['token'],
  ERR: ['verb', 'code', 'words'],
  BYE: ['code', 'words'],
};

const COMMANDS = {
  hello: { verb: 'HELLO', fields: ['version'] },
  name: { verb: 'NAME', fields: ['name'] },
  who: { verb: 'WHO', fields: [] },
  chat: { verb: 'CHAT', fields: ['name'] },
  say: { verb: 'MSG', fields: ['text'] },
  leave: { verb: 'LEAVE', fields: [] },
  ping: { verb: 'PING', fields: ['token'] },
  quit: { verb: 'QUIT', fields: [] },
};

// Of these only one may be unanswered at a time.
const SINGLE = new Set(['HELLO', 'NAME', 'CHAT', 'LEAVE']);

const GOODBYES = new Set([
  'line-too-long',
  'too-many-errors',
  'timeout',
  'server-full',
  'address-full',
  'shutting-down',
]);

/** What the server may not send. */
class Fault extends Error {}

/** Cuts what stands after the first word into fields; null if it is not of the types. */
function takeFields(rest, types) {
  const values = [];
  for (const [i, type] of types.entries()) {
    if (rest === null) return null;
    const { fits, rest: isRest } = TYPES[type];
    const end = isRest && i === types.length - 1 ? -1 : rest.indexOf(' ');
    const value = end < 0 ? rest : rest.slice(0, end);
    rest = end < 0 ? null : rest.slice(end + 1);
    if (!fits(value)) return null;
    values.push(value);
  }
  return rest === null ? values : null;
}

/** The first word, and what stands behind its space; null if there is no space. */
function firstWord(text) {
  const end = text.indexOf(' ');
  return end < 0 ? [text, null] : [text.slice(0, end), text.slice(end + 1)];
}

/** A frame of the server as { kind, fields }; null for one that is to be ignored. */
function parseFrame(line) {
  if (!isUtf8(line)) throw new Fault('a frame is not UTF-8');
  let [kind, rest] = firstWord(line.toString('utf8'));
  if (!/^[A-Z]+$/.test(kind)) throw new Fault('a frame begins with no verb');
  if (kind === 'OK' && rest !== null) {
    const [verb, behind] = firstWord(rest);
    kind = `OK ${verb}`;
    rest = behind;
  } else if (kind !== 'OK' && !Object.hasOwn(REPLIES, kind)) {
    return null;
  }
  if (!Object.hasOwn(REPLIES, kind)) throw new Fault('there is no such answer');
  const fields = takeFields(rest, REPLIES[kind]);
  if (fields === null) throw new Fault(`a frame is not of the form of ${kind}`);
  return { kind, fields };
}

/** A line of the input as { name, verb, fields }; null if it is none of the table. */
function parseCommand(line) {
  if (!isUtf8(line)) return null;
  const [name, rest] = firstWord(line.toString('utf8'));
  if (!Object.hasOwn(COMMANDS, name)) return null;
  const { verb, fields: types } = COMMANDS[name];
  const fields = takeFields(rest, types);
  return fields && { name, verb, fields };
}

/** Cuts a stream of octets at LF, however it comes in. */
class LineCutter {
  #parts = [];
  #length = 0;
  #limit;

  constructor(limit = Infinity) {
    this.#limit = limit;
  }

  *push(chunk) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LF, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      this.#length += part.length;
      if (this.#length >= this.#limit) throw new Fault('a frame is too long');
      if (part.length > 0) this.#parts.push(part);
      if (end < 0) return;
      const line = this.rest();
      yield line.at(-1) === CR ? line.subarray(0, -1) : line;
      start = end + 1;
    }
  }

  /** What has come since the last LF. */
  rest() {
    const line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return line;
  }
}

// ---------------------------------------------------------------- the client's own view

/** The state of the connection as its client sees it, and what it may still be answered. */
class View {
  state = 'CONNECTED';
  me = null;
  partner = null; // null also when the partner has gone
  iAnswered = false;
  iAmAccepted = false;
  partnerAnswered = false;
  // Requests in the order in which they were sent. A MSG has an answer only if it is refused.
  #unanswered = [];
  #single = null;
  #items = 0; // of the list that is coming

  /** The one of HELLO, NAME, CHAT and LEAVE that is unanswered, or null. */
  get single() {
    return this.#single && this.#single.verb;
  }

  isPartner(name) {
    return this.partner !== null && sameName(name, this.partner);
  }

  sent(verb, field) {
    const last = this.#unanswered.at(-1);
    if (verb === 'MSG' && last && last.verb === 'MSG') {
      last.count += 1;
      return;
    }
    const request = { verb, field, count: 1 };
    this.#unanswered.push(request);
    if (SINGLE.has(verb)) this.#single = request;
  }

  /** Takes a frame: moves, or throws a Fault if the frame cannot come now. */
  take({ kind, fields }) {
    if (this.#items > 0 && !['USER', 'OK WHO', 'BYE'].includes(kind)) throw new Fault('a list was interrupted');
    this.#take[kind].apply(this, fields);
  }

  /** A frame that is ignored; even that may not stand in a list. */
  ignore() {
    if (this.#items > 0) throw new Fault('a list was interrupted');
  }

  /** The request that must be answered next; lines before it were delivered. */
  #next(verb) {
    const lines = this.#unanswered[0]?.verb === 'MSG' ? 1 : 0;
    const request = this.#unanswered[lines];
    if (!request || request.verb !== verb) throw new Fault(`nobody asked for an answer to ${verb}`);
    if (lines) this.#unanswered.shift();
    return request;
  }

  #answered(verb) {
    const request = this.#next(verb);
    this.#unanswered.shift();
    if (request === this.#single) this.#single = null;
    return request.field;
  }

  #must(condition, what) {
    if (!condition) throw new Fault(what);
  }

  #inChatWith(name) {
    this.#must(this.state === 'PAIRED' && name === this.partner, 'that user is not the partner');
  }

  #take = {
    'OK HELLO'(version) {
      const asked = this.#answered('HELLO');
      this.#must(version === asked && version === '1', 'that version was not asked for');
    },

    'OK NAME'(name) {
      this.#must(name === this.#answered('NAME'), 'that name was not asked for');
      this.me = name;
      this.state = 'NAMED';
    },

    USER(name, availability) {
      this.#next('WHO');
      if (sameName(name, this.me)) {
        this.#must(name === this.me, 'the own name is spelled differently');
        this.#must(availability === (this.state === 'PAIRED' ? 'busy' : 'free'), 'the own state is wrong');
      }
      if (this.isPartner(name)) {
        this.#must(name === this.partner && availability === 'busy', 'the partner is busy');
      }
      this.#items += 1;
    },

    'OK WHO'(count) {
      this.#answered('WHO');
      this.#must(Number(count) === this.#items, 'the number of users is wrong');
      this.#items = 0;
    },

    'OK CHAT'(name) {
      const asked = this.#answered('CHAT');
      this.#must(sameName(name, asked) && !sameName(name, this.me), 'that user was not called');
      if (this.state === 'PAIRED') {
        this.#inChatWith(name);
      } else {
        this.state = 'PAIRED';
        this.partner = name;
        this.partnerAnswered = false;
      }
      this.iAnswered = true;
      this.iAmAccepted = true;
    },

    'OK LEAVE'() {
      this.#answered('LEAVE');
      this.state = 'NAMED';
      this.partner = null;
    },

    'OK QUIT'() {
      this.#answered('QUIT');
      this.state = 'CLOSED';
    },

    PONG(token) {
      this.#must(token === this.#answered('PING'), 'that token was not asked for');
    },

    CALL(name) {
      this.#must(this.state === 'NAMED', 'nobody can call now');
      this.state = 'PAIRED';
      this.partner = name;
      this.iAnswered = false;
      this.iAmAccepted = false;
      this.partnerAnswered = true;
    },

    ACCEPTED(name) {
      this.#inChatWith(name);
      this.#must(!this.partnerAnswered, 'the partner has answered before');
      this.partnerAnswered = true;
    },

    MISSED() {
      this.#must(this.state === 'PAIRED', 'no call can be missed now');
    },

    MSG() {
      this.#must(this.state === 'PAIRED' && this.partner !== null, 'there is no partner');
      this.#must(this.partnerAnswered, 'the partner has not answered');
    },

    GONE(name, reason) {
      this.#inChatWith(name);
      if (reason === 'left') this.#must(this.partnerAnswered, 'the partner has not answered');
      if (reason === 'declined') this.#must(!this.partnerAnswered, 'the partner has answered');
      if (reason === 'unanswered') this.#must(!this.iAnswered || !this.partnerAnswered, 'both have answered');
      this.partner = null;
    },

    PING() {},

    ERR(verb, code) {
      if (verb === 'MSG') {
        const lines = this.#unanswered[0];
        this.#must(lines?.verb === 'MSG', 'no line was sent');
        this.#must(code === this.#refusalOfLine(), 'the line cannot be refused for that');
        lines.count -= 1;
        if (lines.count === 0) this.#unanswered.shift();
        return;
      }
      this.#must(SINGLE.has(verb), 'that cannot be refused');
      const asked = this.#answered(verb);
      this.#must(this.#refusals(verb, asked).includes(code), 'that cannot be the reason');
      if (code === 'already-paired') this.iAmAccepted = false;
    },

    BYE(code) {
      this.#must(GOODBYES.has(code), 'there is no such goodbye');
      this.state = 'CLOSED';
    },
  };

  /** The only code with which a line can be refused now, or null. */
  #refusalOfLine() {
    if (this.state !== 'PAIRED') return 'wrong-state';
    if (this.partner === null) return 'partner-gone';
    return this.iAmAccepted ? null : 'not-accepted';
  }

  /** The codes with which the request can be refused now. */
  #refusals(verb, asked) {
    if (verb === 'HELLO') return asked === '1' ? [] : ['bad-version'];
    if (verb === 'NAME') return ['name-taken'];
    if (verb === 'LEAVE') return [];
    if (this.state === 'PAIRED') return this.isPartner(asked) ? [] : ['already-paired'];
    return sameName(asked, this.me) ? ['self-chat'] : ['no-such-user', 'user-busy'];
  }
}

// ---------------------------------------------------------------- the lines of the output

const PRINTED = {
  'OK HELLO': (version, profiles) => `hello ${version} ${profiles}`,
  'OK NAME': (name) => `named ${name}`,
  USER: (name, availability) => `user ${name} ${availability}`,
  'OK WHO': (count) => `users ${count}`,
  'OK CHAT': (name) => `chat ${name}`,
  CALL: (name) => `called ${name}`,
  ACCEPTED: (name) => `accepted ${name}`,
  MISSED: (name) => `missed ${name}`,
  MSG: (text) => `msg ${text}`,
  GONE: (name, reason) => `gone ${name} ${reason}`,
  'OK LEAVE': () => 'left',
  PONG: (token) => `pong ${token}`,
  'OK QUIT': () => 'bye',
  ERR: (verb, code) => `error ${verb} ${code}`,
  BYE: (code) => `goodbye ${code}`,
};

/** Makes visible what could drive a terminal. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `<U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}>`);
}

function print(line) {
  const shown = Buffer.isBuffer(line) ? line : Buffer.from(line);
  const text = process.stdout.isTTY ? visible(shown.toString('utf8')) : shown;
  process.stdout.write(Buffer.concat([Buffer.from(text), Buffer.from('\n')]));
}

// ---------------------------------------------------------------- the client

class Client {
  #socket;
  #view = new View();
  #waiting = [];
  #frames = new LineCutter(MAX_FRAME);
  #lines = new LineCutter();
  #quitting = false;
  // The client itself has refused a `chat`: a `say` behind it was meant for somebody else.
  #chatWasRefused = false;

  constructor(host, port) {
    this.#socket = net.connect({ host, port, noDelay: true });
    this.#socket.once('connect', () => this.#begin());
    this.#socket.once('error', (error) => {
      if (!this.#socket.connecting && this.#begun) this.#lose(error.code ?? 'the connection broke');
      console.error(`cannot connect: ${error.message}`);
      process.exit(2);
    });
  }

  #begun = false;

  #begin() {
    this.#begun = true;
    print('connected');
    this.#socket.on('data', (chunk) => this.#received(chunk));
    this.#socket.on('end', () => this.#lose('the server has closed the connection'));
    this.#socket.on('close', () => this.#lose('the connection is closed'));
    this.#socket.on('drain', () => this.#regulate());
    process.stdin.on('data', (chunk) => {
      for (const line of this.#lines.push(chunk)) this.#typed(line);
      this.#carryOut();
    });
    process.stdin.once('end', () => this.#inputEnded());
    process.stdin.once('error', () => this.#inputEnded());
  }

  // ---- from the server

  #received(chunk) {
    try {
      for (const line of this.#frames.push(chunk)) {
        this.#heard(line);
        this.#carryOut();
      }
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.#lose(`the server broke the protocol: ${fault.message}`);
    }
  }

  #heard(line) {
    const frame = parseFrame(line);
    if (frame === null) {
      this.#view.ignore();
      return;
    }
    this.#view.take(frame);
    const { kind, fields } = frame;
    if (kind === 'PING') {
      this.#socket.write(`PONG ${fields[0]}\n`);
      return;
    }
    print(PRINTED[kind](...fields));
    if (kind === 'OK QUIT') this.#end(0);
    if (kind === 'BYE') this.#end(1);
  }

  #lose(words) {
    print(`lost ${words}`);
    this.#end(1);
  }

  #end(code) {
    this.#socket.destroy();
    process.exit(code);
  }

  // ---- from the user

  #typed(line) {
    if (line.length === 0 || line[0] === SPACE) return;
    const end = line.indexOf(SPACE);
    const word = end < 0 ? line : line.subarray(0, end);
    this.#waiting.push({ word, command: parseCommand(line) });
  }

  #inputEnded() {
    this.#typed(this.#lines.rest());
    this.#waiting.push({ word: Buffer.from('quit'), command: { name: 'quit', verb: 'QUIT', fields: [] } });
    this.#carryOut();
  }

  /** Carries out the commands that wait, up to one that must be held. */
  #carryOut() {
    let done = 0;
    this.#socket.cork();
    for (const { word, command } of this.#waiting) {
      const verdict = this.#judge(command);
      if (verdict === 'hold') break;
      if (verdict === 'send') this.#send(command);
      else this.#refuse(word, verdict);
      done += 1;
    }
    this.#socket.uncork();
    this.#waiting.splice(0, done);
    this.#regulate();
  }

  /** 'send', 'hold', or the words with which the command is refused. */
  #judge(command) {
    if (this.#quitting) return 'hold'; // for good: what stands behind QUIT is not sent
    if (command === null) return 'that is no command';
    const { state, single } = this.#view;
    switch (command.name) {
      case 'hello':
      case 'name':
        if (state !== 'CONNECTED') return 'there is a name already';
        return single ? 'hold' : 'send';
      case 'who':
        if (state === 'CONNECTED') return single === 'NAME' ? 'hold' : 'there is no name yet';
        return 'send';
      case 'chat':
        if (state === 'CONNECTED') return single === 'NAME' ? 'hold' : 'there is no name yet';
        if (single) return 'hold';
        if (state === 'PAIRED' && !this.#view.isPartner(command.fields[0])) return 'leave the chat first';
        return 'send';
      case 'say':
        if (this.#chatWasRefused) return 'the chat before it was refused';
        if (single === 'LEAVE') return 'hold';
        return state === 'PAIRED' || single === 'CHAT' ? 'send' : 'there is no chat';
      case 'leave':
        if (single === 'CHAT' || single === 'LEAVE') return 'hold';
        return state === 'PAIRED' ? 'send' : 'there is no chat';
      default:
        return 'send';
    }
  }

  #send({ verb, fields }) {
    this.#socket.write(`${[verb, ...fields].join(' ')}\n`);
    this.#view.sent(verb, fields[0]);
    if (verb === 'CHAT') this.#chatWasRefused = false;
    if (verb === 'QUIT') this.#quitting = true;
  }

  #refuse(word, words) {
    if (word.equals(Buffer.from('chat'))) this.#chatWasRefused = true;
    print(Buffer.concat([Buffer.from('refused '), word, Buffer.from(` ${words}`)]));
  }

  /** Reads no more commands while there are many, or while the server takes none. */
  #regulate() {
    const full = this.#waiting.length > MAX_WAITING_COMMANDS || this.#socket.writableNeedDrain;
    if (full) process.stdin.pause();
    else process.stdin.resume();
  }
}

const [host, port] = process.argv.slice(2);
if (!host || !/^[0-9]{1,5}$/.test(port ?? '') || Number(port) > 65535) {
  console.error('usage: client.js HOST PORT');
  process.exit(2);
}
process.stdout.on('error', () => process.exit(1));
new Client(host, Number(port));
