#!/usr/bin/env node
// PySocket Chat, version 1: a server on node:net alone.
//
//   node server.js PORT [HOST [MAX [SPEC | REGISTRATION PROBE SILENCE RING STALLED LINGER]]]
'use strict';

const net = require('node:net');
const fs = require('node:fs');

const LF = 0x0a;
const CR = 0x0d;
const EMPTY = Buffer.alloc(0);

const VERSION = '1';
const PROFILES = 'core';

const LONGEST_FRAME = 4096;
const LONGEST_TEXT = 2000;
const QUEUE_MARK = 256 * 1024;
const QUEUE_STOP = 1024 * 1024;
const CHUNK = 16 * 1024;
const MISSED_KEPT = 100;
const FAULTS_IN_ALL = 5;
const FAULTS_IN_A_ROW = 100;
const LEAST_SHARE = 50;
const SWEEP_MS = 50;
const EXIT_MS = 4000;
const KEEPALIVE_MS = 60_000;

const WORDS = {
  'bad-encoding': 'That is not UTF-8.',
  'unknown-verb': 'No such verb.',
  'bad-syntax': 'That line has not the form of its verb.',
  'wrong-state': 'Not now.',
  'bad-version': 'Only version 1 is spoken here.',
  'name-taken': 'Somebody has that name.',
  'no-such-user': 'Nobody has that name.',
  'self-chat': 'That is you.',
  'user-busy': 'In a chat already.',
  'already-paired': 'You are in a chat; LEAVE first.',
  'partner-gone': 'Your partner has gone.',
  'not-accepted': 'You have not accepted this chat.',
  'line-too-long': 'A line has at most 4096 octets.',
  'too-many-errors': 'Too many errors.',
  'timeout': 'Too slow.',
  'server-full': 'No room.',
  'address-full': 'No more room for your address.',
  'shutting-down': 'The server stops.',
};

// --- frames -----------------------------------------------------------------

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const VERB = /^[A-Z]+$/;
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;
const TOKEN = /^[!-~]{1,64}$/;
const NUMBER = /^[1-9][0-9]{0,3}$/;
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/;

const isText = (text) => text.length > 0 && !CONTROL.test(text) && Buffer.byteLength(text) <= LONGEST_TEXT;

// What may stand behind each verb; null is nothing at all.
const REQUESTS = new Map([
  ['HELLO', (field) => NUMBER.test(field)],
  ['NAME', (field) => NAME.test(field)],
  ['WHO', null],
  ['CHAT', (field) => NAME.test(field)],
  ['MSG', isText],
  ['LEAVE', null],
  ['PING', (field) => TOKEN.test(field)],
  ['PONG', (field) => TOKEN.test(field)],
  ['QUIT', null],
]);

class Fault extends Error {
  constructor(verb, code) {
    super(`${verb} ${code}`);
    this.verb = verb;
    this.code = code;
  }
}

// Octets of a line, without its ending, to a request.
function parse(octets) {
  let line;
  try {
    line = decoder.decode(octets);
  } catch {
    throw new Fault('*', 'bad-encoding');
  }
  const space = line.indexOf(' ');
  const verb = space < 0 ? line : line.slice(0, space);
  if (!VERB.test(verb)) throw new Fault('*', 'bad-syntax');
  if (!REQUESTS.has(verb)) throw new Fault('*', 'unknown-verb');
  const field = space < 0 ? null : line.slice(space + 1);
  const form = REQUESTS.get(verb);
  const right = form === null ? field === null : field !== null && form(field);
  if (!right) throw new Fault(verb, 'bad-syntax');
  return { verb, field, octets };
}

const fold = (name) => name.toLowerCase();

// --- one connection ---------------------------------------------------------

const State = Object.freeze({ CONNECTED: 'CONNECTED', NAMED: 'NAMED', PAIRED: 'PAIRED', CLOSED: 'CLOSED' });

const clock = () => performance.now();

class Connection {
  constructor(socket, server) {
    this.socket = socket;
    this.server = server;
    this.address = addressKey(socket.remoteAddress);
    this.state = State.CONNECTED;
    this.name = null;
    this.link = null; // in PAIRED: { partner, answered, accepted, calledAt }
    this.missed = new Set(); // who has called this user in vain, oldest first
    this.missedBy = new Set(); // whose `missed` this user is in
    this.faults = 0;

    this.input = EMPTY;
    this.inputEnded = false;
    this.pumping = false;

    this.output = []; // { octets, counts }
    this.queued = 0;
    this.writing = false;
    this.flushing = false;
    this.finishing = false;

    const now = clock();
    this.acceptedAt = now;
    this.quietSince = now;
    this.heldSince = null;
    this.probed = false;
    this.probes = 0;
    this.overSince = null;
    this.takenWhileOver = 0;
    this.lastProgress = now;

    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on('data', (chunk) => this.onData(chunk));
    socket.on('end', () => this.onEnd());
    socket.on('error', () => {}); // `close` follows
    socket.on('close', () => this.onClose());
  }

  // --- input

  onData(chunk) {
    if (this.state === State.CLOSED) return;
    this.touch();
    this.input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
    this.pump();
  }

  onEnd() {
    this.inputEnded = true;
    this.pump();
  }

  onClose() {
    this.server.retire(this, 'lost');
    this.server.forget(this);
  }

  // Takes frames while there are some and the queues allow it.
  pump() {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (this.state !== State.CLOSED) {
        const end = this.input.subarray(0, LONGEST_FRAME).indexOf(LF);
        if (end < 0 && this.input.length < LONGEST_FRAME) break;
        if (this.mustWait()) {
          this.hold();
          return;
        }
        if (end < 0) {
          this.server.dismiss(this, 'line-too-long', 'lost');
          break;
        }
        const stop = end > 0 && this.input[end - 1] === CR ? end - 1 : end;
        const line = this.input.subarray(0, stop);
        this.input = this.input.subarray(end + 1);
        this.server.take(this, line);
      }
    } finally {
      this.pumping = false;
    }
    this.release();
    if (this.state === State.CLOSED) {
      this.input = EMPTY;
    } else if (this.inputEnded) {
      this.server.retire(this, 'lost');
      this.finish();
    }
  }

  mustWait() {
    const partner = this.link?.partner;
    return this.queued > QUEUE_STOP || (partner != null && partner.queued > QUEUE_MARK);
  }

  hold() {
    if (this.heldSince !== null) return;
    this.heldSince = clock();
    this.socket.pause();
  }

  release() {
    if (this.heldSince === null) return;
    this.quietSince += clock() - this.heldSince;
    this.heldSince = null;
    this.socket.resume();
  }

  // Later, so that what is being handled is done first.
  wake() {
    if (this.heldSince !== null) setImmediate(() => this.pump());
  }

  touch() {
    const now = clock();
    this.quietSince = now;
    if (this.heldSince !== null) this.heldSince = now;
    this.probed = false;
  }

  // --- output

  send(...words) {
    this.queue(Buffer.from(words.join(' ') + '\n'), true);
  }

  queue(octets, counts) {
    if (this.finishing) return;
    this.output.push({ octets, counts });
    this.queued += octets.length;
    if (this.queued > QUEUE_MARK && this.overSince === null) {
      this.overSince = clock();
      this.takenWhileOver = 0;
    }
    if (this.flushing) return;
    this.flushing = true;
    setImmediate(() => {
      this.flushing = false;
      this.flush();
    });
  }

  flush() {
    if (this.writing || this.socket.destroyed) return;
    if (this.output.length === 0) {
      if (this.finishing) this.socket.end();
      return;
    }
    let size = 0;
    let frames = 0;
    while (frames < this.output.length && size < CHUNK) size += this.output[frames++].octets.length;
    const batch = this.output.splice(0, frames);
    const counts = batch.some((frame) => frame.counts);
    this.writing = true;
    this.socket.write(Buffer.concat(batch.map((frame) => frame.octets), size), (error) => {
      this.writing = false;
      if (!error) this.onTaken(size, counts);
    });
  }

  onTaken(size, counts) {
    this.queued -= size;
    this.lastProgress = clock();
    if (counts) this.touch();
    if (this.overSince !== null) {
      this.takenWhileOver += size;
      if (this.queued <= QUEUE_MARK) this.overSince = null;
    }
    this.wake();
    this.link?.partner?.wake();
    this.flush();
  }

  // Nothing more is said: sends what is queued, then reads to the end.
  finish() {
    if (this.finishing) return;
    this.finishing = true;
    this.lastProgress = clock();
    this.input = EMPTY;
    this.heldSince = null;
    this.socket.resume();
    if (!this.flushing) this.flush();
  }

  // --- time

  tick(now, timers) {
    if (this.finishing) {
      if (now - this.lastProgress >= timers.linger) this.socket.destroy();
      return;
    }
    if (this.overSince !== null && now - this.overSince >= timers.stalled) {
      if (this.takenWhileOver < QUEUE_MARK) {
        this.server.retire(this, 'lost');
        this.socket.destroy();
        return;
      }
      this.overSince = now;
      this.takenWhileOver = 0;
    }
    if (this.state === State.CONNECTED && now - this.acceptedAt >= timers.registration) {
      this.server.dismiss(this, 'timeout', 'timeout');
      return;
    }
    if (this.link?.partner && !this.link.answered && now - this.link.calledAt >= timers.ring) {
      this.server.unanswered(this);
    }
    if (this.heldSince !== null) return;
    const quiet = now - this.quietSince;
    if (quiet >= timers.silence) {
      this.server.dismiss(this, 'timeout', 'timeout');
    } else if (quiet >= timers.probe && !this.probed) {
      this.probed = true;
      this.probes += 1;
      this.queue(Buffer.from(`PING ${this.probes}\n`), false);
    }
  }
}

// --- addresses --------------------------------------------------------------

// What an address is counted by; null for loopback.
function addressKey(address = '') {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (plain === '::1' || plain.startsWith('127.')) return null;
  if (!plain.includes(':')) return plain;
  const [head, tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array(Math.max(0, zeros)).fill('0'), ...right];
  return groups.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(':');
}

// --- the server -------------------------------------------------------------

class Server {
  constructor({ max, timers }) {
    this.max = max;
    this.timers = timers;
    this.share = Math.max(LEAST_SHARE, Math.floor(max / 10));
    this.users = new Map(); // folded name -> connection
    this.admitted = new Set(); // all whose end has not taken effect
    this.sockets = new Set(); // all whose socket is open
    this.perAddress = new Map();
    this.stopping = false;
    this.listener = net.createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
  }

  listen(port, host) {
    this.listener.listen({ port, host, backlog: 1024 });
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS);
  }

  accept(socket) {
    const connection = new Connection(socket, this);
    this.sockets.add(connection);
    const here = this.perAddress.get(connection.address) ?? 0;
    if (this.stopping) {
      this.turnAway(connection, 'shutting-down');
    } else if (this.admitted.size >= this.max) {
      this.turnAway(connection, 'server-full');
    } else if (connection.address !== null && here >= this.share) {
      this.turnAway(connection, 'address-full');
    } else {
      this.admitted.add(connection);
      if (connection.address !== null) this.perAddress.set(connection.address, here + 1);
    }
  }

  turnAway(connection, code) {
    connection.state = State.CLOSED;
    connection.send('BYE', code, WORDS[code]);
    connection.finish();
  }

  sweep() {
    const now = clock();
    for (const connection of this.sockets) connection.tick(now, this.timers);
  }

  // The end of a connection takes effect: the name is free, the partner is told.
  retire(connection, reason) {
    if (connection.state === State.CLOSED) return;
    const partner = connection.link?.partner;
    connection.state = State.CLOSED;
    connection.link = null;
    this.admitted.delete(connection);
    if (connection.address !== null) {
      const here = this.perAddress.get(connection.address) - 1;
      if (here > 0) this.perAddress.set(connection.address, here);
      else this.perAddress.delete(connection.address);
    }
    if (connection.name !== null) this.users.delete(fold(connection.name));
    this.dropMissed(connection);
    for (const busy of connection.missedBy) busy.missed.delete(connection);
    connection.missedBy.clear();
    if (partner) this.bereave(partner, connection.name, reason);
  }

  // The partner of this end is gone; it stays PAIRED.
  bereave(end, name, reason) {
    end.link.partner = null;
    if (reason !== null) end.send('GONE', name, reason);
    end.wake();
  }

  // The socket is closed.
  forget(connection) {
    this.sockets.delete(connection);
    if (this.stopping && this.sockets.size === 0) process.exit(0);
  }

  dismiss(connection, code, reason) {
    this.retire(connection, reason);
    connection.send('BYE', code, WORDS[code]);
    connection.finish();
  }

  unanswered(called) {
    const caller = called.link.partner;
    this.bereave(called, caller.name, 'unanswered');
    this.bereave(caller, called.name, 'unanswered');
  }

  dropMissed(connection) {
    for (const caller of connection.missed) caller.missedBy.delete(connection);
    connection.missed.clear();
  }

  stop() {
    if (this.stopping) return;
    this.stopping = true;
    this.listener.close();
    for (const connection of [...this.admitted]) this.dismiss(connection, 'shutting-down', null);
    if (this.sockets.size === 0) process.exit(0);
    setTimeout(() => process.exit(0), EXIT_MS);
  }

  // --- requests

  take(connection, octets) {
    try {
      const request = parse(octets);
      const handler = TABLE[request.verb][connection.state];
      if (!handler) throw new Fault(request.verb, 'wrong-state');
      if (connection.name !== null) connection.faults = 0;
      handler.call(this, connection, request);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.fault(connection, fault);
    }
  }

  fault(connection, { verb, code }) {
    this.refuse(connection, verb, code);
    const named = connection.name !== null;
    if (verb === 'MSG' && code === 'wrong-state') {
      if (named) connection.faults = 0;
      return;
    }
    connection.faults += 1;
    if (connection.faults >= (named ? FAULTS_IN_A_ROW : FAULTS_IN_ALL)) {
      this.dismiss(connection, 'too-many-errors', 'lost');
    }
  }

  refuse(connection, verb, code) {
    connection.send('ERR', verb, code, WORDS[code]);
  }

  hello(me, { field: version }) {
    if (version !== VERSION) return this.refuse(me, 'HELLO', 'bad-version');
    me.send('OK', 'HELLO', VERSION, PROFILES);
  }

  takeName(me, { field: name }) {
    const key = fold(name);
    if (this.users.has(key)) return this.refuse(me, 'NAME', 'name-taken');
    this.users.set(key, me);
    me.name = name;
    me.state = State.NAMED;
    me.faults = 0;
    me.send('OK', 'NAME', name);
  }

  who(me) {
    for (const user of this.users.values()) {
      me.send('USER', user.name, user.state === State.PAIRED ? 'busy' : 'free');
    }
    me.send('OK', 'WHO', this.users.size);
  }

  call(me, { field: name }) {
    const user = this.users.get(fold(name));
    if (user === undefined) return this.refuse(me, 'CHAT', 'no-such-user');
    if (user === me) return this.refuse(me, 'CHAT', 'self-chat');
    if (user.state === State.PAIRED) {
      this.refuse(me, 'CHAT', 'user-busy');
      this.miss(user, me);
      return;
    }
    me.state = State.PAIRED;
    me.link = { partner: user, answered: true, accepted: true, calledAt: null };
    user.state = State.PAIRED;
    user.link = { partner: me, answered: false, accepted: false, calledAt: clock() };
    me.send('OK', 'CHAT', user.name);
    user.send('CALL', me.name);
  }

  miss(busy, caller) {
    if (busy.missed.has(caller)) return;
    busy.missed.add(caller);
    caller.missedBy.add(busy);
    if (busy.missed.size > MISSED_KEPT) {
      const [oldest] = busy.missed;
      busy.missed.delete(oldest);
      oldest.missedBy.delete(busy);
    }
    busy.send('MISSED', caller.name);
  }

  answer(me, { field: name }) {
    const { link } = me;
    if (link.partner && fold(link.partner.name) === fold(name)) {
      me.send('OK', 'CHAT', link.partner.name);
      if (!link.answered) link.partner.send('ACCEPTED', me.name);
      link.answered = true;
      link.accepted = true;
      return;
    }
    if (link.partner) link.accepted = false;
    this.refuse(me, 'CHAT', 'already-paired');
  }

  say(me, { octets }) {
    const { partner, accepted } = me.link;
    if (!partner) return this.refuse(me, 'MSG', 'partner-gone');
    if (!accepted) return this.refuse(me, 'MSG', 'not-accepted');
    const frame = Buffer.allocUnsafe(octets.length + 1);
    octets.copy(frame);
    frame[octets.length] = LF;
    partner.queue(frame, true);
  }

  leave(me) {
    const { partner, answered } = me.link;
    me.state = State.NAMED;
    me.link = null;
    this.dropMissed(me);
    me.send('OK', 'LEAVE');
    if (partner) this.bereave(partner, me.name, answered ? 'left' : 'declined');
  }

  ping(me, { field: token }) {
    me.send('PONG', token);
  }

  pong() {}

  quit(me) {
    this.retire(me, 'quit');
    me.send('OK', 'QUIT');
    me.finish();
  }
}

const { hello, takeName, who, call, answer, say, leave, ping, pong, quit } = Server.prototype;

// A row for each request, with what it does in each state.
const TABLE = {
  HELLO: { CONNECTED: hello },
  NAME: { CONNECTED: takeName },
  WHO: { NAMED: who, PAIRED: who },
  CHAT: { NAMED: call, PAIRED: answer },
  MSG: { PAIRED: say },
  LEAVE: { PAIRED: leave },
  PING: { CONNECTED: ping, NAMED: ping, PAIRED: ping },
  PONG: { CONNECTED: pong, NAMED: pong, PAIRED: pong },
  QUIT: { CONNECTED: quit, NAMED: quit, PAIRED: quit },
};

// --- start ------------------------------------------------------------------

const TIMERS = { registration: 30, probe: 120, silence: 600, ring: 60, stalled: 30, linger: 2 };

function readTimers(args) {
  const seconds = { ...TIMERS };
  if (args.length === 1 && !/^[\d.]+$/.test(args[0])) {
    const text = fs.readFileSync(args[0], 'utf8');
    const timers = text.slice(text.search(/^timers:/m));
    for (const timer of Object.keys(TIMERS)) {
      const found = new RegExp(`^ +${timer}:[^]*?\\bafter: *([\\d.]+) *(ms|s|min)`, 'm').exec(timers);
      if (found) seconds[timer] = Number(found[1]) * { ms: 0.001, s: 1, min: 60 }[found[2]];
    }
  } else {
    Object.keys(TIMERS).forEach((timer, i) => {
      if (args[i] !== undefined) seconds[timer] = Number(args[i]);
    });
  }
  return Object.fromEntries(Object.entries(seconds).map(([timer, value]) => [timer, value * 1000]));
}

function main([port = '8255', host = '127.0.0.1', max = '10000', ...rest]) {
  const server = new Server({ max: Number(max), timers: readTimers(rest) });
  process.on('SIGTERM', () => server.stop());
  process.on('SIGINT', () => server.stop());
  server.listen(Number(port), host);
}

main(process.argv.slice(2));
