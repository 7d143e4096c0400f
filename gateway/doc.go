// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway serves clients: it reads what they ask for, has the policy
// decide, and carries out the decision. The Server's zero value denies
// everything.
//
// The way of a request, file by file:
//
//	strict.go    only unambiguous HTTP/1.1 reaches net/http
//	server.go    the server: listeners, generations, the end
//	passage.go   one passage per request: decided here, one record each
//	handover.go  how a connection is given up or given on
//	target.go    which origin is asked for
//	connect.go   WHERE A CONNECT IS DECIDED and tunnelled
//	tunnels.go   the open tunnels: judged again, drained, cut
//	forward.go   a plain request goes to its origin
//	upload.go    the client's body on its way to the origin
//	rewrite.go   what of a message's head goes on to the next hop
//	origin.go    pooled connections to origins
//	upgrade.go   WebSocket and other upgrades
//	errors.go    what went wrong becomes a status and a cause
//	refuse.go    which becomes an answer
//	record.go    what is told about a passage
package gateway
