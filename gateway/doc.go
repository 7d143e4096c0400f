// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway serves clients: it reads what they ask for, has the policy
// decide, and carries out the decision. The Server's zero value denies
// everything.
//
// The way of a request, file by file:
//
//	server.go    the server: listeners, generations, the end
//	greet.go     a client begins: in the clear, or by a TLS handshake (shakes.go)
//	conn.go      a client's connection as the engine serves it
//	passage.go   one passage per request: decided here, one record each
//	target.go    which origin is asked for
//	own.go       requests for the gateway itself
//	admit.go     what the limits of its rule make of a request
//	meter.go     what limits count, for whom
//	bucket.go    rates
//	connect.go   WHERE A CONNECT IS DECIDED and tunnelled
//	intercept.go where it is intercepted: the origin verified, the client's TLS ended
//	inside.go    what comes in such a connection, and for which origin
//	tunnels.go   the open tunnels: judged again, drained, cut
//	forward.go   a plain request goes to its origin, and the answer back
//	rewrite.go   what of a message's head goes on to the next hop
//	headers.go   what rules change about them, and the secrets they put there
//	upload.go    the client's body on its way to the origin
//	leg.go       connections to origins: where to, dialled, verified
//	upgrade.go   WebSocket
//	errors.go    what went wrong becomes a status and a cause
//	refuse.go    which becomes an answer
//	record.go    what is told about a passage
//	tell.go      what is told where there is none
//
// All of that is the same whoever speaks HTTP on either side. The engine does
// for HTTP/1.1 (h1 is its grammar, wire its sockets):
//
//	connbody.go  the body of a request
//	connend.go   how long a connection lasts, and how it ends or is given away
//	conns.go     all client connections: looked after, drained, cut
//	reply.go     what a client is answered
//	exchange.go  a request to its origin, and the head of the answer
//	uploading.go the body behind the request, while the answer may come
//	hop.go       a connection to an origin and what comes on it
//	decrypted.go what a connection has to say inside TLS, on either side
//	pool.go      those that wait for their next request
//
// And net/http does for HTTP/2, and for all when the engine is switched off:
//
//	given.go     connections that the engine gives it
//	http2.go     a request by HTTP/2, read as HTTP/1.1
//	stream.go    a CONNECT by HTTP/2 as a connection
//	strict.go    only unambiguous HTTP/1.1 reaches it
//	handover.go  how a connection is given up or given on
//	standard.go  a request that came by its server
//	transport.go its connections to origins
//	roundtrip.go a request that goes by them
//	http3.go     one that goes by HTTP/3 (package h3), or by TCP after all
//	http3leg.go  and its connections
package gateway
