// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sallyport/certs/inspect"
)

// A certTarget is what cert inspect and cert verify are asked about.
type certTarget struct {
	Name  string
	File  *inspect.Contents  // of a file
	Hello *inspect.Handshake // of a host
}

// chain is the certificates of a target, the leaf first.
func (t *certTarget) chain() []*x509.Certificate {
	if t.Hello != nil {
		return t.Hello.Chain
	}
	return t.File.Certificates
}

// certLook is how to look at a target.
type certLook struct {
	store      caFlags // where what is no file and no host is
	cmd        *cobra.Command
	password   string // file
	serverName string
	alpn       []string
	proxy      string
	proxyRoots string
	timeout    time.Duration
}

func (l *certLook) flags(cmd *cobra.Command) {
	l.cmd = cmd
	f := cmd.Flags()
	stateFlag(cmd, &l.store.state)
	f.StringVar(&l.store.passphraseFile, "passphrase-file", os.Getenv(envName("passphrase-file")), "`file` with the CA's passphrase, for store:... when no gateway runs")
	f.StringVar(&l.password, "password-file", "", "file with the password of a PKCS #12 file")
	f.StringVar(&l.serverName, "servername", "", "name to ask a host for (SNI), instead of its own")
	f.StringSliceVar(&l.alpn, "alpn", []string{"h2", "http/1.1"}, "protocols to offer a host")
	f.StringVar(&l.proxy, "proxy", "", "look at a host through this `URL`, by CONNECT, as in http://127.0.0.1:3128")
	f.StringVar(&l.proxyRoots, "proxy-roots", "", "PEM file with the roots of an https proxy, instead of the system's")
	f.DurationVar(&l.timeout, "timeout", 10*time.Second, "how long a host, or a password, may take")
}

// look reads the file, or asks the host, that arg names.
func (l *certLook) look(ctx context.Context, arg string) (*certTarget, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	t := &certTarget{Name: arg}
	data, err := readAnyFile(arg)
	switch {
	case err == nil:
		t.File, err = l.read(ctx, arg, data)
		return t, err
	case errors.Is(err, fs.ErrNotExist) && isStored(arg):
		text, err := l.stored(arg)
		if err != nil {
			return nil, err
		}
		t.File, err = l.read(ctx, arg, text)
		return t, err
	case !errors.Is(err, fs.ErrNotExist) || !inspect.HostPort(arg):
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no file %s, and it is not host:port either", line(arg))
		} else {
			err = fmt.Errorf("%s %w", line(arg), err)
		}
		return nil, &exitError{exitFailed, err}
	}
	ask, err := l.ask(arg)
	if err != nil {
		return nil, err
	}
	if t.Hello, err = inspect.Dial(ctx, ask); err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s: %s", line(arg), line(err.Error()))}
	}
	return t, nil
}

// isStored: listener, listener:NAME and store:WHAT are looked up where a gateway
// keeps its certificates.
func isStored(arg string) bool {
	return arg == "listener" || strings.HasPrefix(arg, "store:") || strings.HasPrefix(arg, "listener:") && !inspect.HostPort(arg)
}

// stored asks the gateway, or the state directory, for what arg names.
func (l *certLook) stored(arg string) ([]byte, error) {
	var t certText
	if err := l.store.ask(l.cmd, "GET", "/v1/certs/pem?"+url.Values{"what": {arg}}.Encode(), nil, &t); err != nil {
		return nil, err
	}
	return []byte(t.PEM), nil
}

func (l *certLook) read(ctx context.Context, name string, data []byte) (*inspect.Contents, error) {
	password, err := readPassword(l.password)
	if err != nil {
		return nil, err
	}
	c, err := inspect.Read(ctx, data, password)
	switch {
	case errors.Is(err, inspect.ErrPassword) && l.password == "":
		err = errors.New("it is PKCS #12 with a password: name the file that has it with --password-file")
	case errors.Is(err, inspect.ErrPassword):
		err = fmt.Errorf("it is PKCS #12, and %w in %s", err, line(l.password))
	}
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s: %s", line(name), line(err.Error()))}
	}
	return c, nil
}

func (l *certLook) ask(address string) (inspect.Ask, error) {
	a := inspect.Ask{Address: address, ServerName: l.serverName, ALPN: l.alpn}
	if l.proxy == "" {
		return a, nil
	}
	u, err := url.Parse(l.proxy)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !inspect.HostPort(u.Host) || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return a, &exitError{exitUsage, errors.New("--proxy is written as http://host:port or https://host:port")}
	}
	a.Proxy = u
	if l.proxyRoots != "" {
		roots, err := l.certificates(l.proxyRoots)
		if err != nil {
			return a, err
		}
		a.ProxyRoots = x509.NewCertPool()
		for _, c := range roots {
			a.ProxyRoots.AddCert(c)
		}
	}
	return a, nil
}

// certificates are those of a file that has to have some.
func (l *certLook) certificates(file string) ([]*x509.Certificate, error) {
	data, err := readAnyFile(file)
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s %w", line(file), err)}
	}
	c, err := inspect.Read(context.Background(), data, nil)
	switch {
	case err != nil:
	case len(c.Damaged) > 0:
		err = errors.New(c.Damaged[0])
	case len(c.Certificates) == 0:
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s: %s", line(file), line(err.Error()))}
	}
	return c.Certificates, nil
}

// readPassword is the first line of a file; "" is no file, and no password.
func readPassword(file string) ([]byte, error) {
	b, err := passwordIn(file)
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("--password-file %s %w", line(file), err)}
	}
	return b, nil
}

// passwordIn is the first line of a file, whose name its error follows; nil for "".
func passwordIn(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readAnyFile(file)
	if err != nil {
		return nil, err
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(first, []byte("\r")), nil
}

// maxCertFile is more than any bundle or CRL in use.
const maxCertFile = 64 << 20

// readAnyFile reads a regular file, whole. Its error follows the file's name.
func readAnyFile(name string) ([]byte, error) {
	// O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			err = p.Err
		}
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case info.IsDir():
		return nil, errors.New("is a directory: name a file in it")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Size() > maxCertFile:
		return nil, fmt.Errorf("has more than %d MiB: is it the right file?", maxCertFile>>20)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCertFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(b) > maxCertFile {
		return nil, fmt.Errorf("has more than %d MiB: is it the right file?", maxCertFile>>20)
	}
	return b, nil
}

// targetNames completes what can be looked at: files, and what a gateway has.
func targetNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names := []string{"listener\tthe certificate of the gateway's listener"}
	for _, s := range []string{"edge", "identity", "server", "intercept", "client", "delegated"} {
		names = append(names, "store:"+s+"\tof the gateway's own CA")
	}
	return names, cobra.ShellCompDirectiveDefault
}
