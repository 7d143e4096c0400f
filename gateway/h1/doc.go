// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package h1 holds the HTTP/1.1 message grammar of RFC 9112, read strictly.
//
// Whatever two implementations could read differently is refused rather than
// repaired: a gateway that repairs a message decides about one request and
// sends another (request smuggling: "HTTP Desync Attacks", Kettle
// 2019). The package looks at bytes only. It does not read, write or buffer.
package h1
