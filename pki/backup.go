// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"os"
	"time"
)

// A backup is: a line that names its format; a line of JSON, manifest; the
// bytes of ca.db; and 32 bytes of HMAC-SHA-256 of all before them. Keys in it
// are sealed as ever, and the passphrase is not in it.
const backupFormat = "sallyport certification authority backup 1\n"

type manifest struct {
	lock       // how the key of the HMAC is derived, and proved
	Size int64 // of ca.db, in bytes
}

// Backup writes everything of one moment to w, while the authority goes on.
// What it writes is copied to a file beside ca.db first, so that a slow w
// holds up nobody.
func (ca *CA) Backup(ctx context.Context, w io.Writer) error {
	if err := ca.backup(ctx, w); err != nil {
		return fmt.Errorf("backing up the certification authority: %w", err)
	}
	return nil
}

func (ca *CA) backup(ctx context.Context, w io.Writer) error {
	if ca.dir == nil {
		return errors.New("it is not in a file")
	}
	var m manifest
	err := ca.store.View(func(t tx) error {
		b, err := t.Get(bucketCA, "kek")
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &m.lock)
	})
	if err != nil {
		return err
	}
	temp := temporary(databaseName)
	f, err := ca.dir.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer ca.dir.Remove(temp)
	defer f.Close()
	if m.Size, err = ca.store.Snapshot(f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	head, err := json.Marshal(m)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, ca.kek.mac)
	out := io.MultiWriter(w, mac)
	if _, err := out.Write(append([]byte(backupFormat), append(head, '\n')...)); err != nil {
		return err
	}
	if _, err := io.Copy(out, untilDone{ctx, f}); err != nil {
		return err
	}
	_, err = w.Write(mac.Sum(nil))
	return err
}

// untilDone ends a copy with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// Restore makes the authority of a backup in dir, which it makes if it is not
// there. It is ErrExists if there is one already, ErrPassphrase for another
// passphrase, and ErrSealed if the backup was cut short or changed. Numbers of
// CRLs go up by 65536: what was published after the backup was made had lower
// ones, so nobody keeps it for the newer.
func Restore(dir string, passphrase []byte, r io.Reader) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = restore(dir, passphrase, bufio.NewReaderSize(r, 1<<16))
	}
	if err != nil {
		return fmt.Errorf("restoring a certification authority into %s: %w", dir, err)
	}
	return nil
}

func restore(dir string, passphrase []byte, r *bufio.Reader) error {
	root, err := openDir(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(databaseName); err == nil {
		return ErrExists
	}
	m, k, mac, err := readManifest(passphrase, r)
	if err != nil {
		return err
	}
	temp := temporary(databaseName)
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer root.Remove(temp)
	n, err := io.Copy(io.MultiWriter(f, mac), io.LimitReader(r, m.Size))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// One byte more than there should be, to see what does not belong there.
	sum, err := io.ReadAll(io.LimitReader(r, sha256.Size+1))
	if err != nil {
		return err
	}
	if n != m.Size || len(sum) < sha256.Size {
		return fmt.Errorf("the backup was cut short: %w", ErrSealed)
	}
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return fmt.Errorf("the backup is not what was written: %w", ErrSealed)
	}
	if err := revive(root, temp, k); err != nil {
		return err
	}
	return publish(root, temp, databaseName)
}

// readManifest reads what stands before ca.db, and proves the passphrase.
func readManifest(passphrase []byte, r *bufio.Reader) (m manifest, k *kek, mac hash.Hash, err error) {
	first := make([]byte, len(backupFormat))
	if _, err := io.ReadFull(r, first); err != nil || string(first) != backupFormat {
		return m, nil, nil, errors.New("this is no backup that this program can read")
	}
	line, err := r.ReadSlice('\n') // at most the buffer's size
	if err != nil {
		return m, nil, nil, fmt.Errorf("the backup was cut short: %w", ErrSealed)
	}
	head := bytes.Clone(line)
	if err := json.Unmarshal(head, &m); err != nil || m.Size < 0 {
		return m, nil, nil, fmt.Errorf("the backup has no readable head: %w", ErrSealed)
	}
	if k, err = unlock(head, passphrase); err != nil {
		return m, nil, nil, err
	}
	mac = hmac.New(sha256.New, k.mac)
	mac.Write(first)
	mac.Write(head)
	return m, k, mac, nil
}

// revive looks over a restored file, every key included, and raises the
// numbers of its CRLs.
func revive(root *os.Root, name string, k *kek) error {
	db, err := openBolt(root, name, false, time.Second)
	if err != nil {
		return err
	}
	err = db.check()
	if err == nil {
		err = db.Change(func(t tx) error {
			s, err := loadState(t, k)
			if err != nil {
				return err
			}
			for _, i := range s.issuers {
				if err := raiseCRL(t, i.skid, 1<<16); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(err, db.Close())
}

// raiseCRL raises the number of an issuer's last CRL, which is kept in decimal
// and 0 at first (RFC 5280 §5.2.3: it never goes down), and forgets that list.
func raiseCRL(t tx, skid string, by int64) error {
	b, err := t.Get(bucketCRL, skid)
	if err != nil {
		return err
	}
	n := new(big.Int)
	if b != nil {
		if _, ok := n.SetString(string(b), 10); !ok {
			return fmt.Errorf("the number of the last CRL of %s is %q", skid, b)
		}
	}
	n.Add(n, big.NewInt(by))
	return errors.Join(t.Put(bucketCRL, skid, []byte(n.String())), t.Delete(bucketLastCRL, skid))
}
