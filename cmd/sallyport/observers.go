// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/rs/zerolog"

	"sallyport/gateway"
)

// observers are told of each transaction when it is over, and keep what people ask
// for afterwards.
type observers struct {
	logger  *zerolog.Logger
	hits    *hits
	expiry  *expiry
	failed  *handshakes
	refused *refusals
}

// newObservers keeps the hits of rules below state.
func newObservers(state string, logger *zerolog.Logger) *observers {
	return &observers{logger, &hits{state: state}, &expiry{logger: logger}, &handshakes{}, &refusals{}}
}

// Observe is a gateway.Server's.
func (o *observers) Observe(r *gateway.Record) {
	logRecord(o.logger, r)
	o.hits.Observe(r)
	o.expiry.Observe(r)
	o.failed.Observe(r)
	o.refused.Observe(r)
}
