// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"
	"time"

	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
)

// acmeTemplate is what smallstep asks the gate for: the names of the order and
// the one purpose, where its own would be for clients as well (defect 3), and
// nothing of what the signing request says beside its key. The gate adds where
// revocation is looked up.
const acmeTemplate = `{
	"subject": {},
	"sans": {{ toJson .SANs }},
	"keyUsage": ["digitalSignature"],
	"extKeyUsage": ["serverAuth"]
}`

const (
	acmeShortest = time.Second
	acmeLongest  = 90 * 24 * time.Hour
	acmeUsual    = 30 * 24 * time.Hour
)

// newProvisioner makes what smallstep's handlers ask about orders. It is given to
// each request and is not one of the authority's list: which one it is depends on
// who asks, and not on the path.
func newProvisioner(id string, requireEAB bool, life time.Duration) (*provisioner.ACME, error) {
	if life == 0 {
		life = acmeUsual
	}
	if life < acmeShortest || life > acmeLongest {
		return nil, fmt.Errorf("certificates of %v: want %v to %v", life, acmeShortest, acmeLongest)
	}
	yes := true
	p := &provisioner.ACME{
		ID: id, Name: id, Type: provisioner.TypeACME.String(),
		RequireEAB: requireEAB,
		Challenges: []provisioner.ACMEChallenge{provisioner.HTTP_01, provisioner.TLS_ALPN_01},
		Claims: &provisioner.Claims{
			MinTLSDur:                  &provisioner.Duration{Duration: acmeShortest},
			MaxTLSDur:                  &provisioner.Duration{Duration: acmeLongest},
			DefaultTLSDur:              &provisioner.Duration{Duration: life},
			DisableRenewal:             &yes,
			DisableSmallstepExtensions: &yes,
		},
		Options: &provisioner.Options{X509: &provisioner.X509Options{Template: acmeTemplate}},
	}
	if err := p.Init(provisioner.Config{Claims: config.GlobalProvisionerClaims}); err != nil {
		return nil, err
	}
	return p, nil
}
