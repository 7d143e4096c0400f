// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
)

// What callers branch on. The texts around them say on what, and what to do.
var (
	ErrExists        = errors.New("there is a certification authority already")
	ErrNone          = errors.New("there is no certification authority")
	ErrLocked        = errors.New("another process has the certification authority open")
	ErrPassphrase    = errors.New("the passphrase is not the one it was sealed with")
	ErrSealed        = errors.New("what was sealed has been changed, or belongs elsewhere")
	ErrLoose         = errors.New("others may read or change it")
	ErrUnknownSerial = errors.New("no certificate of this serial number was issued")
	ErrRevoked       = errors.New("the certificate is revoked already")
	ErrRefused       = errors.New("refused")
	ErrOrder         = errors.New("not the next step of a root rotation")
	ErrNoSecret      = errors.New("no secret of this name")
	ErrClosed        = errors.New("the certification authority is closed")
)

// refuse makes an error that is an ErrRefused and says why.
func refuse(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, a...))
}
