// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/smallstep/certificates/acme"
)

type orderRow struct {
	Account     string            `json:"account"`
	Provisioner string            `json:"provisioner"`
	Status      acme.Status       `json:"status"`
	Expires     time.Time         `json:"expires"`
	Identifiers []acme.Identifier `json:"identifiers"`
	NotBefore   time.Time         `json:"notBefore,omitzero"`
	NotAfter    time.Time         `json:"notAfter,omitzero"`
	Error       *acme.Error       `json:"error,omitempty"`
	Authz       []string          `json:"authz"`
	Certificate string            `json:"certificate,omitempty"`
}

func (o *orderRow) final() bool {
	return o.Status == acme.StatusValid || o.Status == acme.StatusInvalid
}

// CreateOrder names an order for its account, so that those of one account lie
// side by side and are counted quickly.
func (d *acmeDB) CreateOrder(ctx context.Context, o *acme.Order) error {
	now := d.now()
	o.ID = o.AccountID + "-" + newID()
	o.ExpiresAt = now.Add(acmeOrderLife).UTC().Truncate(time.Second)
	row := orderRow{
		Account: o.AccountID, Provisioner: o.ProvisionerID, Status: o.Status, Expires: o.ExpiresAt,
		Identifiers: o.Identifiers, NotBefore: o.NotBefore, NotAfter: o.NotAfter, Authz: o.AuthorizationIDs,
	}
	return d.change(func(t tx) error {
		acc, ok, err := get[accountRow](t, bucketACMEAccounts, o.AccountID)
		if err != nil || !ok {
			return errors.Join(err, notFoundUnless(ok, "account", o.AccountID))
		}
		if !asked(ctx).own {
			if n, err := d.countOrders(t, o.AccountID, now); err != nil {
				return err
			} else if n >= acmeOrders {
				return busy("the account has made %d orders within %v; try again later", n, acmeOrderLife)
			}
		}
		acc.Used = now
		return errors.Join(
			put(t, bucketACMEAccounts, o.AccountID, acc),
			put(t, bucketACMEOrders, o.ID, row))
	})
}

// countOrders counts the orders of an account that have not ended, up to
// acmeOrders.
func (d *acmeDB) countOrders(t tx, account string, now time.Time) (n int, err error) {
	err = d.eachOrder(t, account, func(_ string, row orderRow) bool {
		if now.Before(row.Expires) {
			n++
		}
		return n < acmeOrders
	})
	return n, err
}

// eachOrder calls f for each order of an account until it returns false.
func (d *acmeDB) eachOrder(t tx, account string, f func(id string, row orderRow) bool) (err error) {
	prefix := account + "-"
	e := t.Each(bucketACMEOrders, prefix, func(id string, _ []byte) bool {
		if !strings.HasPrefix(id, prefix) {
			return false
		}
		var row orderRow
		if row, _, err = get[orderRow](t, bucketACMEOrders, id); err != nil {
			return false
		}
		return f(id, row)
	})
	return errors.Join(e, err)
}

func (d *acmeDB) GetOrder(_ context.Context, id string) (*acme.Order, error) {
	row, ok, err := find[orderRow](d, bucketACMEOrders, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("order", id)
	}
	return row.acme(id), nil
}

func (o *orderRow) acme(id string) *acme.Order {
	return &acme.Order{
		ID: id, AccountID: o.Account, ProvisionerID: o.Provisioner, Status: o.Status, ExpiresAt: o.Expires,
		Identifiers: o.Identifiers, NotBefore: o.NotBefore, NotAfter: o.NotAfter, Error: o.Error,
		AuthorizationIDs: o.Authz, CertificateID: o.Certificate,
	}
}

// UpdateOrder does not take back what is final: who looked at an order before it
// was finished would otherwise make it unfinished.
func (d *acmeDB) UpdateOrder(_ context.Context, o *acme.Order) error {
	return d.change(func(t tx) error {
		row, ok, err := get[orderRow](t, bucketACMEOrders, o.ID)
		if err != nil || !ok {
			return errors.Join(err, notFoundUnless(ok, "order", o.ID))
		}
		if row.final() {
			o.Status, o.Error, o.CertificateID = row.Status, row.Error, row.Certificate
			return nil
		}
		row.Status, row.Error, row.Certificate = o.Status, o.Error, o.CertificateID
		return put(t, bucketACMEOrders, o.ID, row)
	})
}

// GetOrdersByAccountID returns the orders that are not finished, as RFC 8555
// §7.1.2.1 wants.
func (d *acmeDB) GetOrdersByAccountID(_ context.Context, account string) ([]string, error) {
	ids := []string{}
	now := d.now()
	err := d.store.View(func(t tx) error {
		return d.eachOrder(t, account, func(id string, row orderRow) bool {
			if !row.final() && now.Before(row.Expires) {
				ids = append(ids, id)
			}
			return true
		})
	})
	return ids, err
}

type certRow struct {
	Account string    `json:"account"`
	Order   string    `json:"order"`
	Chain   [][]byte  `json:"chain"`
	End     time.Time `json:"end"`
}

// CreateCertificate notes whose certificate it is. It is known by its serial
// number.
func (d *acmeDB) CreateCertificate(_ context.Context, c *acme.Certificate) error {
	c.ID = c.Leaf.SerialNumber.String()
	row := certRow{Account: c.AccountID, Order: c.OrderID, Chain: [][]byte{c.Leaf.Raw}, End: c.Leaf.NotAfter}
	for _, i := range c.Intermediates {
		row.Chain = append(row.Chain, i.Raw)
	}
	return d.change(func(t tx) error { return put(t, bucketACMECerts, c.ID, row) })
}

func (d *acmeDB) GetCertificate(_ context.Context, id string) (*acme.Certificate, error) {
	row, ok, err := find[certRow](d, bucketACMECerts, id)
	if err != nil {
		return nil, err
	}
	if !ok || len(row.Chain) == 0 {
		return nil, notFound("certificate", id)
	}
	c := &acme.Certificate{ID: id, AccountID: row.Account, OrderID: row.Order}
	for i, der := range row.Chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate %s: %w", id, err)
		}
		if i == 0 {
			c.Leaf = cert
		} else {
			c.Intermediates = append(c.Intermediates, cert)
		}
	}
	return c, nil
}

func (d *acmeDB) GetCertificateBySerial(ctx context.Context, serial string) (*acme.Certificate, error) {
	return d.GetCertificate(ctx, serial)
}
