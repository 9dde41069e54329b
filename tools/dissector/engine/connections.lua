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
  ["not accepted"] = function(view)
    if view.accepted ~= nil then return not view.accepted end
  end,
}

local function holds(when, view, values)
  if not when then return true end
  local decide = conditions[when.kind]
  local value = when.field and values[when.field]
  if decide and (value or not when.field) then
    return decide(view, value, when)
  end
end

-- The link between two connections -----------------------------------------------------------------------------------

-- `conn` gets the partner `name`. The chat gets a number: the same at both ends, if both are in the capture.
local function meet(conn, name, accepted)
  local view = conn.view
  if view.partner and fold(view.partner) == fold(name) and view.chat then
    return change(conn, {accepted = accepted})
  end
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
  change(conn, {partner = name, accepted = accepted, chat = chat.id, peer = conn.peer and conn.peer.stream or false})
end

local function release(conn)
  local user = conn.view.user
  if user and conn.server.names[fold(user)] == conn then
    conn.server.names[fold(user)] = nil
  end
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
    if name then
      meet(conn, name, true)
    else
      change(conn, {accepted = true})
    end
  end
  if does.retract and conn.view.partner then change(conn, {accepted = false}) end
  if does.unlink then change(conn, {partner = false, accepted = false}) end
  if does.release then release(conn) end
end

return {
  reset = reset, connection = connection, lost = lost, fold = fold, put = put, drop = drop, violation = violation,
  change = change, holds = holds, meet = meet, release = release, perform = perform,
}
