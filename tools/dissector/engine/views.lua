-- A view: what is known of a connection at one moment, as an immutable table. Each frame keeps the views before and
-- after it, so it shows the same when it is shown again. Knows no frame and no Wireshark.
--
-- A view has: states (the set of states that the connection can be in; one state if the capture tells it), user (the
-- connection's own name), partner (the name at the other end of the link), accepted, chat (a number), peer (the TCP
-- stream of the partner). nil is unknown, false is none.

local spec = ...

local order = {}
for index, name in ipairs(spec.states) do
  order[index] = name
end
order[#order + 1] = spec.final

local interned = {}

-- The set of the states that are keys of `has`. Equal sets are one table: {has, only (its state, if it is one), next}.
local function set(has)
  local names = {}
  for _, name in ipairs(order) do
    if has[name] then names[#names + 1] = name end
  end
  local key = table.concat(names, " or ")
  local found = interned[key]
  if not found then
    found = {has = has, only = #names == 1 and names[1] or nil, empty = #names == 0, text = key, next = {}}
    interned[key] = found
  end
  return found
end

local every = {}
for _, name in ipairs(spec.states) do
  every[name] = true
end
every = set(every)

-- The states after an event: `step(state, add)` adds those that it can lead to. Cached for the set and the event.
local function after(states, event, step)
  local result = states.next[event]
  if not result then
    local has = {}
    local function add(name) has[name] = true end
    for name in pairs(states.has) do
      step(name, add)
    end
    result = set(has)
    states.next[event] = result
  end
  return result
end

-- The first view of a connection whose beginning is in the capture, and of one whose beginning is not.
local fresh = {states = set({[spec.initial] = true}), user = false, partner = false, accepted = false}
local blank = {states = every}

-- `view` with `changes`. In a state that does not hold the link there is no partner.
local function changed(view, changes)
  local result = {}
  for key, value in pairs(view) do
    result[key] = value
  end
  for key, value in pairs(changes) do
    result[key] = value
  end
  local only = result.states.only
  if only and not spec.linked[only] then
    result.partner, result.accepted, result.chat, result.peer = false, false, false, false
  end
  return result
end

return {fresh = fresh, blank = blank, every = every, after = after, changed = changed}
