// Made by sallyport from its policy{{with .Revision}}, revision {{slice . 0 16}}{{end}}.
var proxy = {{js .Proxy}};
var names = {{js .Names}}; // these hosts are reached without the gateway,
var zones = {{js .Zones}}; // these and all below them,
var nets = {{js .Nets}}; // and addresses in these networks: bits, bytes

function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/\.$/, "").replace(/^\[|\]$/g, "");
  if (has(names, host)) return "DIRECT";
  var ip = bytes(host), rest = host, i;
  if (ip) {
    for (i = 0; i < nets.length; i++) if (within(ip, nets[i][1], nets[i][0])) return "DIRECT";
    return proxy;
  }
  while (rest) {
    if (has(zones, rest)) return "DIRECT";
    i = rest.indexOf(".");
    rest = i < 0 ? "" : rest.slice(i + 1);
  }
  return proxy;
}

function has(set, name) { return Object.prototype.hasOwnProperty.call(set, name); }

// The bytes of an address, null for a name. Names are not looked up.
function bytes(host) {
  var out = [], i, parts;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(host)) {
    parts = host.split(".");
    for (i = 0; i < 4; i++) out.push(+parts[i]);
    return out;
  }
  if (host.indexOf(":") < 0) return null;
  var halves = host.split("::"), head = groups(halves[0]), tail = groups(halves[1] || "");
  while (halves.length > 1 && head.length + tail.length < 16) head.push(0);
  out = head.concat(tail);
  return out.length === 16 ? out : null;
}

function groups(text) {
  var out = [], parts = text ? text.split(":") : [], i, n;
  for (i = 0; i < parts.length; i++) {
    if (parts[i].indexOf(".") >= 0) { out = out.concat(bytes(parts[i]) || []); continue; }
    n = parseInt(parts[i], 16) || 0;
    out.push(n >> 8, n & 255);
  }
  return out;
}

function within(ip, net, bits) {
  if (ip.length !== net.length) return false;
  for (var i = 0; i < ip.length && bits > 0; i++, bits -= 8) {
    var mask = bits >= 8 ? 255 : 256 - (1 << (8 - bits));
    if ((ip[i] & mask) !== (net[i] & mask)) return false;
  }
  return true;
}
