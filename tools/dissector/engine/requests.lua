-- Follows the clients' frames, and checks them by the rules for clients. Knows no Wireshark.

local spec, views, connections = ...

local put, drop, violation, fault_row = connections.put, connections.drop, connections.violation, connections.fault_row

local function has_place(states, verb)
  for state in pairs(states.has) do
    if spec.rows[state][verb] then return true end
  end
  return false
end

-- Whether `verb` will be allowed when all unanswered requests have succeeded.
local function will_have_place(conn, verb)
  local states = conn.view.states
  for index = conn.pending.first, conn.pending.last do
    local entry = conn.pending[index]
    if not entry.fault then
      states = views.after(states, "may " .. entry.verb, function(state, add)
        add(state)
        for _, row in ipairs(spec.rows[state][entry.verb] or {}) do
          if row.to then add(row.to) end
        end
      end)
    end
  end
  return has_place(states, verb)
end

local function unanswered(conn, verbs)
  for index = conn.pending.first, conn.pending.last do
    local entry = conn.pending[index]
    if not entry.silent and not entry.fault and verbs[entry.verb] then return entry end
  end
end

-- The rules for clients, where all frames of both sides are known. A frame that crossed a push is right if it was right
-- before the push.
local function judge_request(conn, frame, record)
  if not conn.whole then return end
  local view, verb, client = conn.view, frame.echo, spec.client
  local other = client.one_unanswered[verb] and unanswered(conn, client.one_unanswered)
  if other then
    local why = ("%s in frame %d is unanswered"):format(other.verb, other.record.number)
    violation(record, "one-unanswered", "client", why, client.one_unanswered_rule)
  end
  local may_follow = client.may_follow[verb]
  if not has_place(view.states, verb) and not (conn.previous and has_place(conn.previous, verb)) then
    local why = ("%s has no place in %s"):format(verb, view.states.text)
    if may_follow and unanswered(conn, {[may_follow] = true}) then
      return
    elseif will_have_place(conn, verb) then
      violation(record, "early", "client", why .. " yet")
    else
      local row = fault_row(view.states, nil, verb)
      violation(record, row.error, "client", why, row.rule)
    end
  elseif view.states.only and not conn.previous then
    local when = (client.only_if[view.states.only] or {})[verb]
    if when and connections.holds(when, view, frame.values) == false then
      local why = ("in %s, only if %s"):format(view.states.only, when.text)
      violation(record, "not-allowed", "client", why, client.only_if_rule)
    end
  end
end

-- Links a client's reply with the push that it answers.
local function match_probe(conn, frame, record)
  for index = conn.probes.first, conn.probes.last do
    local probe = conn.probes[index]
    local same = probe.reply[1] == frame.echo
    for _, part in ipairs(probe.reply) do
      if type(part) == "table" and frame.values[part.field] ~= (part.word or probe.values[part.variable]) then
        same = false
      end
    end
    if same then
      record.request, probe.record.response = probe.record, record
      return drop(conn.probes, index)
    end
  end
end

-- Links a line that came out before this, in the order of the packets, with the request that sent it.
local function was_doubtful(conn, entry)
  for index, line in ipairs(conn.doubtful or {}) do
    local same = true
    for name, value in pairs(line.values) do
      same = same and entry.values[name] == value
    end
    if same then
      line.record.relayed_from, entry.record.relayed_to = entry.record, line.record
      return table.remove(conn.doubtful, index)
    end
  end
end

-- `synced`: whether the frame's beginning is in the capture; else it may be the end of another one.
local function follow(conn, frame, record, synced)
  record.before, record.after = conn.view, conn.view
  if conn.silenced then
    record.kind = "discarded"
    return
  end
  local entry = {record = record, verb = frame.echo, fault = frame.fault, values = frame.values}
  record.verb = frame.form and frame.echo
  if frame.fault then
    local row = connections.agreed_fault(conn.possible or conn.view.states, frame.fault, frame.echo)
    if row then violation(record, row.error, "client", frame.why, row.rule) end
  else
    judge_request(conn, frame, record)
    match_probe(conn, frame, record)
    entry.silent = not frame.form.answered
    if frame.form.relays and not was_doubtful(conn, entry) then
      put(conn.lines, entry)
      if not conn.whole and not conn.peer then connections.say(conn, entry) end
    end
    conn.silenced = synced and frame.form.ends
  end
  put(conn.pending, entry)
end

-- A client's line that is too long: the server says its goodbye and discards the rest.
local function too_long(conn, record)
  record.before, record.after, record.kind = conn.view, conn.view, conn.silenced and "discarded" or "request"
  if not conn.silenced then
    violation(record, spec.too_long, "client", ("%d octets without an ending"):format(spec.max_octets), spec.length_rule)
  end
  conn.silenced = true
end

return {follow = follow, too_long = too_long}
