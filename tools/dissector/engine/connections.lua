-- The connections of a capture and the links between them, for `requests.lua` and `replies.lua`. Knows no frame and no
-- Wireshark, and only the number and the time of a packet.
--
-- Each frame has a record: number, time, before and after (views), kind (where it differs from the frame's), verb (of
-- the request that it is or answers), request and response (the other record), relayed_from and relayed_to, rule,
-- violations ({code, why, by, rule}).
-- What the capture lacks is unknown, not wrong. A connection that the capture has without a gap is `whole`: all of its
-- requests are known, and which of them each answer is for. Its state is known from the server's frames alone. After
-- a frame of which only the end may be in the capture, its view is a guess: `possible` then has the states that it can be in
-- without that frame, and the view is believed again when they are a single one without the link. A request that may have
-- been answered in a hole is `unsure`, until the answer to it or to a later one has come: answers keep the order.

local spec, views = ...

local SOON = 1 -- seconds within which a line comes out at the partner, where that must tell who the partner is
local MOST = 4096 -- what a queue remembers of one connection; the oldest is forgotten

local servers, chats = {}, 0

local function reset()
  servers, chats = {}, 0
end

local function fold(name)
  return name:lower()
end

-- Queues: {first, last, [first..last]}.

local function queue()
  return {first = 1, last = 0}
end

local function put(items, item)
  items.last = items.last + 1
  items[items.last] = item
  if items.last - items.first >= MOST then
    items[items.first] = nil
    items.first = items.first + 1
  end
end

local function drop(items, index)
  for i = items.first, index do
    items[i] = nil
  end
  items.first = index + 1
end

local function connection(server, stream, started)
  servers[server] = servers[server] or {names = {}, said = {}}
  return {
    server = servers[server], stream = stream, view = started and views.fresh or views.blank, whole = started,
    pending = queue(), turn = 0, lines = queue(), probes = queue(), spent = {},
  }
end

-- Octets of one side are missing. Without some of the server's frames, only the connection's name is still known.
local function lost(conn, side)
  conn.whole, conn.previous, conn.listing, conn.must_end, conn.doubtful = false, nil, nil, nil, nil
  if side == "server" then
    local view, peer = conn.view, conn.peer
    conn.view = views.changed(views.blank, {user = view.user or nil})
    conn.unsure = conn.unsure or {}
    for index = conn.pending.first, conn.pending.last do
      table.insert(conn.unsure, conn.pending[index])
    end
    conn.pending, conn.turn, conn.over, conn.possible = queue(), 0, nil, nil
    if peer and peer.peer == conn and peer.view.partner and not peer.possible then -- the other end still has the link
      conn.view = views.changed(conn.view, {partner = view.partner, chat = view.chat, peer = view.peer})
      conn.possible = views.every
    else
      conn.peer = nil
    end
  end
end

-- A frame of the server changes the states that a connection can be in, where its view is a guess.
local function narrow(conn, event, step)
  local states = views.after(conn.possible, event, step)
  conn.possible = states.empty and views.every or states
  local only = conn.possible.only
  if only and not spec.linked[only] then
    conn.view, conn.possible = views.changed(conn.view, {states = conn.possible}), nil
  end
end

local function violation(record, code, by, why, rule)
  record.violations = record.violations or {}
  table.insert(record.violations, {code = code, by = by, why = why, rule = rule})
end

-- The answer to a request that was sent after a doubtful line came out: all that this connection has said before is in
-- the capture, and the line is not among it.
local function settle(conn, request)
  local left = {}
  for _, line in ipairs(conn.doubtful) do
    if line.record.number < request.number then
      local why = "the partner has sent no such line that was not delivered before"
      violation(line.record, "unknown-line", "server", why)
    else
      left[#left + 1] = line
    end
  end
  conn.doubtful = #left > 0 and left or nil
end

local function change(conn, changes)
  conn.view = views.changed(conn.view, changes)
end

-- Conditions of the spec in a capture: true, false, or nil for unknown.
local conditions = {
  ["equals"] = function(_, value, when) return value == when.value end,
  ["differs"] = function(_, value, when) return value ~= when.value end,
  ["oneself"] = function(view, value)
    if view.user ~= nil then return view.user ~= false and fold(view.user) == fold(value) end
  end,
  ["the partner"] = function(view, value)
    if view.partner ~= nil then return view.partner ~= false and fold(view.partner) == fold(value) end
  end,
  ["no partner"] = function(view)
    if view.partner ~= nil then return view.partner == false end
  end,
  ["a partner"] = function(view)
    if view.partner ~= nil then return view.partner ~= false end
  end,
  ["not accepted"] = function(view)
    if view.accepted ~= nil then return not view.accepted end
  end,
  ["not answered"] = function(view)
    if view.answered ~= nil then return not view.answered end
  end,
}

local function decided(condition, view, values)
  local decide = conditions[condition.kind]
  local value = condition.field and values[condition.field]
  if decide and (value or not condition.field) then
    return decide(view, value, condition)
  end
end

-- Whether all conditions of a row hold: false if one does not, and nil if one of the others is unknown.
local function holds(when, view, values)
  local result = true
  for _, condition in ipairs(when and when.all or {}) do
    local held = decided(condition, view, values)
    if held == false then return false end
    if held == nil then result = nil end
  end
  return result
end

-- The first row of the faults that answers a line in a state: `fault` is what is wrong with the line by itself, `verb`
-- what its refusal names. A request without a place in the state has the fault `state`, too.
local function fault_in(state, fault, verb)
  local misplaced = verb ~= spec.any_verb and not spec.rows[state][verb]
  for _, row in ipairs(spec.faults) do
    if (row.fault == fault or misplaced and row.fault == "state")
        and (not row.states or row.states[state]) and (not row.verbs or row.verbs[verb]) then
      return row
    end
  end
end

-- The same if the rows of all these states have one error; nil if the error depends on the state.
local function agreed_fault(states, fault, verb)
  local found
  for state in pairs(states.has) do
    local row = spec.rows[state] and fault_in(state, fault, verb)
    if row and found and row.error ~= found.error then return nil end
    found = row or found
  end
  return found
end

-- The same in the first of several states in which there is one.
local function fault_row(states, fault, verb)
  for _, state in ipairs(spec.states) do
    local row = states.has[state] and fault_in(state, fault, verb)
    if row then return row end
  end
end

-- The link between two connections -----------------------------------------------------------------------------------

-- A connection is known to be that of a user.
local function name_user(conn, name)
  change(conn, {user = name})
  conn.server.names[fold(name)] = conn
end

-- Two connections are the ends of one chat; what is known of one end tells the names of the other.
local function pair(conn, other, chat)
  conn.chat, other.chat, conn.peer, other.peer = chat, chat, other, conn
  for one, two in pairs({[conn] = other, [other] = conn}) do
    if not one.view.user and two.view.partner then name_user(one, two.view.partner) end
  end
  for one, two in pairs({[conn] = other, [other] = conn}) do
    local changes = {peer = two.stream}
    if one.view.partner ~= false then -- else it has gone already
      changes.partner, changes.chat = one.view.partner or two.view.user or nil, chat.id
    end
    change(one, changes)
  end
end

-- `conn` gets the partner `name`. The chat gets a number: the same at both ends, if both are in the capture.
local function meet(conn, name)
  local view = conn.view
  if view.partner and fold(view.partner) == fold(name) and view.chat then return end
  local other = conn.server.names[fold(name)]
  local chat = other and other ~= conn and other.chat
  if chat and chat.first == other and not chat.second
      and (not view.user or fold(view.user) == fold(chat.partner)) then
    chat.second = conn
    change(conn, {partner = name})
    pair(conn, other, chat)
  else
    chats = chats + 1
    conn.chat, conn.peer = {id = chats, first = conn, partner = name}, nil
    change(conn, {partner = name, chat = chats, peer = false})
  end
end

-- A push names the partner, whom the capture may not have named before.
local function learn_partner(conn, name)
  if conn.view.partner ~= nil then return end
  local other = conn.server.names[fold(name)]
  if conn.chat and other and other.chat == conn.chat then -- neither has been in another chat since
    conn.peer = other
    change(conn, {partner = name, chat = conn.chat.id, peer = other.stream})
  elseif conn.view.chat and conn.peer then
    change(conn, {partner = name})
    if not conn.peer.view.user then name_user(conn.peer, name) end
  else
    meet(conn, name)
  end
end

-- A line of `other` came out at `conn`: they are the ends of one chat, if neither is known to have another partner.
local function recognise(conn, other)
  local function fits(one, two)
    local partner, user = one.view.partner, two.view.user
    return partner ~= false and not (one.peer and one.peer ~= two)
      and (not partner or not user or fold(partner) == fold(user))
  end
  if not (fits(conn, other) and fits(other, conn)) then return false end
  local chat = other.view.chat and other.chat or conn.view.chat and conn.chat
  if not chat then
    chats = chats + 1
    chat = {id = chats, first = other}
  end
  chat.second = chat.first == other and conn or other
  pair(conn, other, chat)
  other.possible = other.possible or views.every
  return true
end

-- The values of a line as one text.
local function text_of(values)
  local words = {}
  for name, value in pairs(values) do
    words[#words + 1] = name .. " " .. value
  end
  table.sort(words)
  return table.concat(words, "\n")
end

-- Keeps a line for the partner, where the capture has not shown who that is.
local function say(conn, entry)
  local said = conn.server.said
  local text = text_of(entry.values)
  said[text] = said[text] or queue()
  put(said[text], {conn = conn, entry = entry})
end

-- The connection that has just sent this line to an unknown partner, if it is only one.
local function speaker(conn, values, time)
  local found
  local entries = conn.server.said[text_of(values)] or queue()
  for index = entries.last, entries.first, -1 do
    local other, record = entries[index].conn, entries[index].entry.record
    if time - record.time > SOON then break end
    if other ~= conn and not other.peer and not entries[index].entry.refused then
      if found and found ~= other then return nil end
      found = other
    end
  end
  return found
end

local function release(conn)
  local user = conn.view.user
  if user and conn.server.names[fold(user)] == conn then
    conn.server.names[fold(user)] = nil
  end
end

local alone = {partner = false, accepted = false, answered = false, here = false}

-- Neither end has a partner any more. Where the other end's view is a guess, it follows this one.
local function part(conn)
  local peer = conn.peer
  if peer and peer.possible and peer.peer == conn then change(peer, alone) end
  change(conn, alone)
end

-- Applies an outcome to its own connection; `value(variable)` gives the names.
local function perform(conn, does, value)
  if does.bind then
    local name = value(does.bind)
    change(conn, {user = name})
    if name then conn.server.names[fold(name)] = conn end
  end
  if does.link or does.accept then
    local name = value("peer") or value(does.link or does.accept)
    if name then meet(conn, name) end
    change(conn, {accepted = true, answered = true})
    if does.link then change(conn, {here = false}) end
  end
  if does.retract and conn.view.partner then change(conn, {accepted = false}) end
  if does.unlink then part(conn) end
  if does.release then release(conn) end
end

return {
  reset = reset, connection = connection, lost = lost, narrow = narrow, settle = settle, fold = fold, put = put,
  drop = drop, violation = violation, change = change, holds = holds, decided = decided, fault_in = fault_in, fault_row = fault_row,
  agreed_fault = agreed_fault, meet = meet, name_user = name_user, learn_partner = learn_partner,
  recognise = recognise, say = say, speaker = speaker, part = part, release = release, perform = perform,
}
