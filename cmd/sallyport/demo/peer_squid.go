// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var squid = peer{
	debian: "squid-openssl",
	lacks:  "squid here has no TLS of its own, and is not compared in intercept: its package squid-openssl has.",
	modes: func(program string) []string {
		said, err := exec.Command(program, "-v").Output()
		if err == nil && bytes.Contains(said, []byte("--with-openssl")) && certgen() != "" {
			return allPeerModes
		}
		return []string{relay, tunnelled}
	},
	events: map[string]string{
		"CERT_HAS_EXPIRED": "origin_certificate_expired",
		"DOMAIN_MISMATCH":  "origin_name_mismatch",
		"SELF_SIGNED":      "origin_self_signed",
	},
	configure: configureSquid,
}

// certgen is the program by which Squid mints certificates; "" if there is none.
func certgen() string {
	for _, dir := range []string{"/usr/lib/squid", "/usr/lib64/squid", "/usr/libexec/squid", "/usr/local/libexec/squid"} {
		path := filepath.Join(dir, "security_file_certgen")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// configureSquid has Squid do what the gateway's rules say, as far as its
// configuration can: the same denials and the same limit, and a certificate of the
// gateway for origins that ask.
func configureSquid(t *trial, w Way, dir, _, addr string) ([]string, string, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	zone := hostOf("", w.ID)
	var hosts strings.Builder
	for _, a := range t.attempts() {
		fmt.Fprintf(&hosts, "127.0.0.1 %s\n", hostOf(a.name, w.ID))
	}
	for _, more := range []string{allowedHost, costHost} {
		fmt.Fprintf(&hosts, "127.0.0.1 %s\n", hostOf(more, w.ID))
	}
	files := map[string][]byte{"hosts": []byte(hosts.String())}
	port, only, hello := "http_port "+addr, "", ""
	if w.Mode == intercept {
		more, err := t.squidMints(dir, files)
		if err != nil {
			return nil, "", err
		}
		hello = `,"hello":{"sni":"%ssl::>sni"}`
		port += " ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert=" + file("ca.pem") + "\n" + more
	}
	if w.Mode == relay {
		only = "http_access deny by_connect\n"
	}
	files["squid.conf"] = []byte(port + `
hosts_file ` + file("hosts") + `
acl denied dstdomain ` + hostOf(deniedHost, w.ID) + `
acl method_host dstdomain ` + hostOf(methodHost, w.ID) + `
acl path_host dstdomain ` + hostOf(pathHost, w.ID) + `
acl DELETE method DELETE
acl private urlpath_regex ^/private/
acl ours dstdomain .` + zone + `
acl by_connect method CONNECT
` + only + `http_access deny denied
http_access deny method_host DELETE
http_access deny path_host private
http_access allow ours
http_access deny all
request_body_max_size ` + fmt.Sprint(maxBody) + ` bytes
logformat demo {"kind":"squid","method":"%rm","url":"%ru","status":%>Hs,"outcome":"%Ss","error":"%err_detail"` + hello + `}
access_log stdio:` + file(accessLog) + ` demo
cache_log ` + file("cache.log") + `
cache deny all
cache_mem 8 MB
cache_store_log none
pid_filename none
pinger_enable off
netdb_filename none
coredump_dir ` + dir + `
visible_hostname squid.demo.test
max_filedescriptors 2048
request_start_timeout 2 seconds
shutdown_lifetime 0 seconds
`)
	for name, content := range files {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			return nil, "", err
		}
	}
	return []string{"-N", "-d", "1", "-n", "demo" + addr[strings.LastIndexByte(addr, ':')+1:], "-f", file("squid.conf")}, "HTTP Socket connections at", nil
}

// squidMints gives Squid a CA that clients of the trial trust, and says how it is
// used: Squid looks at the origin first, and mints a certificate like its own.
func (t *trial) squidMints(dir string, files map[string][]byte) (conf string, err error) {
	ca, err := newAuthority("squid on this machine")
	if err != nil {
		return "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return "", err
	}
	shown, err := t.roots.issue("gateway", clientLeaf)
	if err != nil {
		return "", err
	}
	cert, certKey, err := pemOf(shown)
	if err != nil {
		return "", err
	}
	t.edge.AddCert(ca.cert)
	t.trusted.AddCert(ca.cert)
	files["ca.pem"] = append(pemCert(ca.cert.Raw), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	files["gateway.crt"], files["gateway.key"], files["roots.pem"] = cert, certKey, pemCert(t.roots.cert.Raw)
	made := filepath.Join(dir, "minted")
	if said, err := exec.Command(certgen(), "-c", "-s", made, "-M", "4MB").CombinedOutput(); err != nil {
		return "", fmt.Errorf("making a place for minted certificates: %w: %s", err, bytes.TrimSpace(said))
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	return "sslcrtd_program " + certgen() + " -s " + made + " -M 4MB\nsslcrtd_children 2 startup=1 idle=1\n" +
		"tls_outgoing_options cafile=" + file("roots.pem") + " default-ca=off cert=" + file("gateway.crt") + " key=" + file("gateway.key") + "\n" +
		"ssl_bump stare all\nssl_bump bump all", nil
}
