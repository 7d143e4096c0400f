// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds on what one verification may cost.
const (
	maxBcrypt = 15      // 2^15 rounds: some seconds
	maxMemory = 1 << 18 // KiB of argon2id: 256 MiB
	maxPasses = 16
	maxLanes  = 16
)

var errHash = errors.New("the hash is none that is known: make it by htpasswd -B (bcrypt) or as argon2id")

// readHash makes the check of a hash; weak says that it should not be in use.
func readHash(text string) (check func(string) bool, weak bool, err error) {
	refused := func(what string) error {
		return fmt.Errorf("the password is kept %s, which is not accepted: set it anew by htpasswd -B (bcrypt) or as argon2id", what)
	}
	switch {
	case text == "":
		return nil, false, errors.New("there is no hash behind the colon")
	case strings.HasPrefix(text, "$2"):
		check, err = readBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		check, err = readArgon2id(text)
	case strings.HasPrefix(text, "$apr1$"):
		check, err = readAPR1(text)
		weak = true
	case strings.HasPrefix(text, "{SHA}"):
		err = refused("as SHA-1 without salt ({SHA})")
	case strings.HasPrefix(text, "{SSHA}"):
		err = refused("as SHA-1 ({SSHA})")
	case strings.HasPrefix(text, "$1$"):
		err = refused("by MD5-crypt ($1$)")
	case strings.HasPrefix(text, "$5$"):
		err = refused("by SHA-256-crypt ($5$)")
	case strings.HasPrefix(text, "$6$"):
		err = refused("by SHA-512-crypt ($6$)")
	case strings.HasPrefix(text, "$argon2"):
		err = refused("by argon2i or argon2d")
	case strings.HasPrefix(text, "$"), strings.HasPrefix(text, "{"):
		err = errHash
	case len(text) == 13:
		err = refused("by crypt (DES), which reads eight characters")
	default:
		err = refused("in the clear")
	}
	return check, weak, err
}

func readBcrypt(text string) (func(string) bool, error) {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || len(text) != 60 || text[3] != '$' || strings.Trim(text[7:], cryptDigits) != "" {
		return nil, errors.New("the bcrypt hash is damaged")
	}
	if cost > maxBcrypt {
		return nil, fmt.Errorf("the cost %d of the bcrypt hash is beyond %d, and would keep the gateway from its work", cost, maxBcrypt)
	}
	stored := []byte(text)
	return func(password string) bool {
		return bcrypt.CompareHashAndPassword(stored, []byte(password)) == nil
	}, nil
}

// readArgon2id reads the PHC form: $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH.
func readArgon2id(text string) (func(string) bool, error) {
	damaged := errors.New("the argon2id hash is damaged: it looks like $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH")
	part := strings.Split(text, "$")
	if len(part) != 6 || part[2] != "v=19" {
		return nil, damaged
	}
	var m, t, p uint64
	for i, x := range strings.Split(part[3], ",") {
		if i > 2 || len(x) < 3 || x[:2] != [...]string{"m=", "t=", "p="}[i] {
			return nil, damaged
		}
		n, err := strconv.ParseUint(x[2:], 10, 31)
		if err != nil {
			return nil, damaged
		}
		*[...]*uint64{&m, &t, &p}[i] = n
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(part[4])
	sum, err2 := base64.RawStdEncoding.Strict().DecodeString(part[5])
	if err1 != nil || err2 != nil || t == 0 || p == 0 || m < 8*p || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return nil, damaged
	}
	if m > maxMemory || t > maxPasses || p > maxLanes {
		return nil, fmt.Errorf("the argon2id hash costs more than m=%d,t=%d,p=%d, and would keep the gateway from its work", maxMemory, maxPasses, maxLanes)
	}
	return func(password string) bool {
		got := argon2.IDKey([]byte(password), salt, uint32(t), uint32(m), uint8(p), uint32(len(sum)))
		return subtle.ConstantTimeCompare(got, sum) == 1
	}, nil
}

// readAPR1 reads Apache's variant of MD5-crypt: $apr1$SALT$HASH.
func readAPR1(text string) (func(string) bool, error) {
	part := strings.Split(text, "$")
	if len(part) != 4 || len(part[2]) > 8 || len(part[3]) != 22 {
		return nil, errors.New("the apr1 hash is damaged")
	}
	salt, sum := part[2], []byte(part[3])
	return func(password string) bool {
		return subtle.ConstantTimeCompare([]byte(apr1(password, salt)), sum) == 1
	}, nil
}

// cryptDigits is crypt's own base64.
const cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// apr1 is apr_md5_encode of the Apache Portable Runtime: a thousand rounds of
// MD5, written in crypt's own base64.
func apr1(password, salt string) string {
	pw := []byte(password)
	alt := md5.Sum([]byte(password + salt + password))
	first := []byte(password + "$apr1$" + salt)
	for n := len(pw); n > 0; n -= 16 {
		first = append(first, alt[:min(n, 16)]...)
	}
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 == 1 {
			first = append(first, 0)
		} else {
			first = append(first, pw[0])
		}
	}
	sum := md5.Sum(first)
	for i := range 1000 {
		var round []byte
		add := func(yes bool) {
			if yes {
				round = append(round, pw...)
			} else {
				round = append(round, sum[:]...)
			}
		}
		add(i&1 == 1)
		if i%3 != 0 {
			round = append(round, salt...)
		}
		if i%7 != 0 {
			round = append(round, pw...)
		}
		add(i&1 == 0)
		sum = md5.Sum(round)
	}
	var out []byte
	put := func(v uint32, n int) {
		for ; n > 0; n-- {
			out = append(out, cryptDigits[v&63])
			v >>= 6
		}
	}
	for i := range 5 {
		a, b, c := sum[i], sum[i+6], sum[(i+12)%16]
		if i == 4 {
			c = sum[5]
		}
		put(uint32(a)<<16|uint32(b)<<8|uint32(c), 4)
	}
	put(uint32(sum[11]), 2)
	return string(out)
}
