-- The connections of a capture and the links between them, for `requests.lua` and `replies.lua`. Knows no frame and no
-- Wireshark, and only the number and the time of a packet.
--
-- Each frame has a record: number, time, before and after (views), kind (where it differs from the frame's), verb (of
-- the request that it is or answers), request and response (the other record), relayed_from and relayed_to, rule,
-- violations ({code, why, by, rule}).
-- A connection without its beginning in the capture, or with a gap, is not `sure`: then a frame that may answer an
-- unseen request is no violation. A connection without a gap since its beginning is `whole`.

local spec, views = ...

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
  servers[server] = servers[server] or {names = {}}
  return {
    server = servers[server], stream = stream, view = started and views.fresh or views.blank, sure = started,
    whole = started, pending = queue(), turn = 0, lines = queue(), probes = queue(), spent = {},
  }
end

-- Octets are missing: only the name of the connection is still known.
local function lost(conn)
  conn.view = views.changed(views.blank, {user = conn.view.user})
  conn.sure, conn.whole, conn.previous, conn.listing, conn.must_end = false, false, nil, nil, nil
  conn.pending, conn.lines, conn.probes, conn.turn = queue(), queue(), queue(), 0
end

local function violation(record, code, by, why, rule)
  record.violations = record.violations or {}
  table.insert(record.violations, {code = code, by = by, why = why, rule = rule})
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

-- The same in the first of several states in which there is one.
local function fault_row(states, fault, verb)
  for _, state in ipairs(spec.states) do
    local row = states.has[state] and fault_in(state, fault, verb)
    if row then return row end
  end
end

-- The link between two connections -----------------------------------------------------------------------------------

-- `conn` gets the partner `name`. The chat gets a number: the same at both ends, if both are in the capture.
local function meet(conn, name)
  local view = conn.view
  if view.partner and fold(view.partner) == fold(name) and view.chat then return end
  local other = conn.server.names[fold(name)]
  local chat = other and other ~= conn and other.chat
  if chat and chat.first == other and not chat.second
      and (not view.user or fold(view.user) == fold(chat.partner)) then
    chat.second = conn
    if not view.user then -- the capture began after it took its name
      change(conn, {user = chat.partner})
      conn.server.names[fold(chat.partner)] = conn
    end
    conn.peer, other.peer = other, conn
    change(other, {peer = conn.stream})
  else
    chats = chats + 1
    chat = {id = chats, first = conn, partner = name}
    conn.peer = nil
  end
  conn.chat = chat
  change(conn, {partner = name, chat = chat.id, peer = conn.peer and conn.peer.stream or false})
end

local function release(conn)
  local user = conn.view.user
  if user and conn.server.names[fold(user)] == conn then
    conn.server.names[fold(user)] = nil
  end
end

local alone = {partner = false, accepted = false, answered = false, here = false}

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
  if does.unlink then change(conn, alone) end
  if does.release then release(conn) end
end

return {
  reset = reset, connection = connection, lost = lost, fold = fold, put = put, drop = drop, violation = violation,
  change = change, holds = holds, decided = decided, fault_in = fault_in, fault_row = fault_row, meet = meet,
  alone = alone, release = release, perform = perform,
}
