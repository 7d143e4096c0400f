// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"strings"
	"testing"
)

// Hashes that htpasswd and argon2 of Debian 12 have made.
var kept = map[string]string{
	"bcrypt":       "$2y$05$3K8GLtVtBU8MiVO9oCJsV.wi8GD8be7uZF7MvQx.lRzRZxtJiVM6a",
	"argon2id":     "$argon2id$v=19$m=4096,t=3,p=1$c29tZXNhbHQ$STL4PIPkvTuJY0SdwssUsIRI+CXBlo5oOSq9lDa3qcw",
	"apr1":         "$apr1$GN3bouaC$0C9Jgsol/Ws4y91MI/KiQ.",
	"apr1 in full": "$apr1$abcdefgh$AaK/FVm2z4lOI9DSq69901",
}

func TestHashes(t *testing.T) {
	for name, h := range kept {
		check, weak, err := readHash(h)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if weak != strings.HasPrefix(name, "apr1") {
			t.Errorf("%s: weak %v", name, weak)
		}
		right := map[string]string{"bcrypt": "secret", "argon2id": "argon-secret", "apr1": "hunter", "apr1 in full": "a password that is longer than sixteen bytes"}[name]
		if !check(right) {
			t.Errorf("%s: the password is not taken", name)
		}
		for _, wrong := range []string{"", right + "x", right[:len(right)-1], strings.ToUpper(right), h} {
			if check(wrong) {
				t.Errorf("%s: %q is taken", name, wrong)
			}
		}
	}
}

// Each line that is refused, with its words; none of them has the hash in it.
func TestRefusedHashes(t *testing.T) {
	const end = ", which is not accepted: set it anew by htpasswd -B (bcrypt) or as argon2id"
	for line, want := range map[string]string{
		"eva:plain-secret":                       `user "eva": the password is kept in the clear` + end,
		"eva:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=":  `user "eva": the password is kept as SHA-1 without salt ({SHA})` + end,
		"eva:{SSHA}5en6G6MezRroT3XK":             `user "eva": the password is kept as SHA-1 ({SSHA})` + end,
		"eva:rqXexS6ZhobKA":                      `user "eva": the password is kept by crypt (DES), which reads eight characters` + end,
		"eva:$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/": `user "eva": the password is kept by MD5-crypt ($1$)` + end,
		"eva:$5$salt$x":                          `user "eva": the password is kept by SHA-256-crypt ($5$)` + end,
		"eva:$6$salt$x":                          `user "eva": the password is kept by SHA-512-crypt ($6$)` + end,
		"eva:$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHQ$STL4PIPkvTuJY0SdwssUsIRI": `user "eva": the password is kept by argon2i or argon2d` + end,
		"eva:$y$j9T$salt$x": `user "eva": the hash is none that is known: make it by htpasswd -B (bcrypt) or as argon2id`,
		"eva:":              `user "eva": there is no hash behind the colon`,
		"eva":               "the line is not a name, a colon and a hash",
		":$2y$05$x":         "the name before the colon is none: it has to be 1 to 255 bytes without control characters and without space around it",
		" eva:$2y$05$x":     "the name before the colon is none: it has to be 1 to 255 bytes without control characters and without space around it",
		"e\x01:$2y$05$x":    "the name before the colon is none: it has to be 1 to 255 bytes without control characters and without space around it",
		"e\xff:$2y$05$x":    "the line is no UTF-8 text",
		"eva:$2y$05$short":  `user "eva": the bcrypt hash is damaged`,
		"eva:$2y$05$QGrnAsQfLMyY3lzyqFlXmu5BVDGbiMKRFtTRS1lYHHT5bB2mFe!oC":                             `user "eva": the bcrypt hash is damaged`,
		"eva:$2y$31$3K8GLtVtBU8MiVO9oCJsV.wi8GD8be7uZF7MvQx.lRzRZxtJiVM6a":                             `user "eva": the cost 31 of the bcrypt hash is beyond 15, and would keep the gateway from its work`,
		"eva:$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHQ$STL4PIPkvTuJY0SdwssUsIRI+CXBlo5oOSq9lDa3qcw": `user "eva": the argon2id hash costs more than m=262144,t=16,p=16, and would keep the gateway from its work`,
		"eva:$argon2id$v=19$m=4096,t=3$c29tZXNhbHQ$STL4PIPkvTuJY0SdwssUsIRI":                           `user "eva": the argon2id hash is damaged: it looks like $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`,
		"eva:$argon2id$v=16$m=4096,t=3,p=1$c29tZXNhbHQ$STL4PIPkvTuJY0SdwssUsIRI":                       `user "eva": the argon2id hash is damaged: it looks like $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`,
		"eva:$argon2id$v=19$m=4096,t=0,p=1$c29tZXNhbHQ$STL4PIPkvTuJY0SdwssUsIRI":                       `user "eva": the argon2id hash is damaged: it looks like $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`,
		"eva:$apr1$toolongsalt$8CwuYXi0BmFdQqDuyr8sV1":                                                 `user "eva": the apr1 hash is damaged`,
	} {
		_, _, err := ReadPasswords("users", []byte("# a comment\n\n"+line+"\r\n"))
		if want = "users:3: " + want; err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", line, err, want)
		}
	}
	twice := fmt.Sprintf("jos\u00e9:%s\njose\u0301:%[1]s\n", kept["bcrypt"]) // the same name in NFC and in NFD
	if _, _, err := ReadPasswords("users", []byte(twice)); err == nil || err.Error() != `users:2: user "jos`+"\u00e9"+`" stands here for the second time` {
		t.Errorf("%v", err)
	}
}

func TestReadPasswords(t *testing.T) {
	p, warnings, err := ReadPasswords("users", []byte("\ufeff# who\neva:"+kept["bcrypt"]+":comment\r\n\nbob:"+kept["apr1"]+" \n"))
	if err != nil || p.Len() != 2 || p.user("eva") == nil || p.user("bob") == nil || p.user("") != nil {
		t.Fatal(p, err)
	}
	if want := `users:4: user "bob": the password is kept by apr1 (MD5), which can be guessed quickly by who gets at the file: set it anew by htpasswd -B`; len(warnings) != 1 || warnings[0] != want {
		t.Errorf("%q, want %q", warnings, want)
	}
	if !p.user("eva").check("secret") || !p.user("bob").check("hunter") {
		t.Error("a password is not taken")
	}
	if p, _, err := ReadPasswords("users", nil); err != nil || p.Len() != 0 {
		t.Error("an empty file has no users, and is a file:", err)
	}
}

func FuzzReadPasswords(f *testing.F) {
	for _, h := range kept {
		f.Add("eva:" + h)
	}
	f.Add("eva:{SHA}x\n#\n\r\n:\neva")
	f.Fuzz(func(t *testing.T, text string) {
		p, warnings, err := ReadPasswords("users", []byte(text))
		if err != nil {
			for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ':' }) {
				if len(part) > 20 && strings.HasPrefix(part, "$") && strings.Contains(err.Error(), part) {
					t.Errorf("the error repeats a hash: %v", err)
				}
			}
			return
		}
		if len(warnings) > p.Len() {
			t.Errorf("%d users and %d warnings", p.Len(), len(warnings))
		}
		for _, name := range p.names {
			if again, err := UserName(name); err != nil || again != name || p.user(name) == nil {
				t.Errorf("user %q, as a name %q, %v", name, again, err)
			}
		}
	})
}
