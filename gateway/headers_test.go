// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// headersRig has an origin that answers with answer, by TLS when the rules
// originate, and notes the head and the rest of what it is sent.
func headersRig(t *testing.T, rules string, standard bool, answer string, different ...func(*Server)) (r *rig, origin string, saw func() string) {
	t.Helper()
	return headersRigOf(t, rules, standard, strings.Contains(rules, "mode: relay"), func() string { return answer }, different...)
}

// headersRigOf is headersRig for an answer that is made when it is asked for.
func headersRigOf(t *testing.T, rules string, standard, clear bool, answer func() string, different ...func(*Server)) (r *rig, origin string, saw func() string) {
	t.Helper()
	r = newRig(t, rules, append(different, func(s *Server) { s.Standard = standard })...)
	got := make(chan string, 1)
	talk := func(c net.Conn) {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		br := bufio.NewReader(c)
		var b strings.Builder
		end := "\r\n\r\n"
		for !strings.HasSuffix(b.String(), end) || strings.Contains(b.String(), "chunked") && strings.Count(b.String(), end) < 2 {
			x, err := br.ReadByte()
			if err != nil {
				break
			}
			b.WriteByte(x)
		}
		got <- b.String()
		_, _ = io.WriteString(c, answer())
	}
	if clear {
		origin = r.accept(talk)
	} else {
		origin = r.accept(func(c net.Conn) { talk(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{r.cert}})) })
	}
	return r, origin, func() string {
		select {
		case s := <-got:
			return s
		case <-time.After(10 * time.Second):
			t.Fatal("nothing came to the origin")
			return ""
		}
	}
}

// send sends a request as it stands, with % for the origin, and returns the answer.
func (r *rig) send(t *testing.T, request, origin string) string {
	t.Helper()
	c := r.dial(r.addr)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, strings.ReplaceAll(request, "%", origin))
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func bothWays(t *testing.T, f func(t *testing.T, standard bool)) {
	for _, standard := range []bool{false, true} {
		t.Run(fmt.Sprintf("standard=%v", standard), func(t *testing.T) { f(t, standard) })
	}
}

const injecting = `  - {name: a, from: any, to: 127.0.0.1, ports: any, mode: originate, allow_private: true,
     request: {headers: {set: {Authorization: "Bearer {secret:key}", X-Team: blue}, remove: [Cookie]}},
     response: {headers: {set: {X-Frame-Options: DENY}, remove: [Server]}}}
`

func withSecret(s *Server) { s.Generation().Secrets = map[string]string{"key": "to/ken-4711"} }

// What a rule sets is in the place of whatever the client sent, in front of the
// body and behind it; what an origin repeats of a secret stays here.
func TestHeadersAreChanged(t *testing.T) {
	const answer = "HTTP/1.1 302 to/ken-4711\r\nServer: x\r\nSERVER: y\r\nX-Frame-Options: none\r\nx_frame_options: none\r\n" +
		"Location: https://else.test/?t=to%2Fken-4711&u=to/ken-4711\r\nSet-Cookie: a=to/ken-4711\r\nKept: yes\r\n" +
		"Transfer-Encoding: chunked\r\nTrailer: Server\r\n\r\n2\r\nok\r\n0\r\nServer: z\r\nX-Late: to/ken-4711\r\n\r\n"
	bothWays(t, func(t *testing.T, standard bool) {
		r, origin, saw := headersRig(t, injecting, standard, answer, withSecret)
		got := r.send(t, "POST http://%/ HTTP/1.1\r\nHost: %\r\nauthorization: mine\r\nAuthorization: mine\r\nX_TEAM: mine\r\nCookie: mine\r\nKept: yes\r\n"+
			"Connection: X-Team, close\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nAuthorization: mine\r\ncookie: mine\r\nx-sum: 1\r\n\r\n", origin)
		sent := saw()
		for _, want := range []string{"\r\nAuthorization: Bearer to/ken-4711\r\n", "\r\nX-Team: blue\r\n", "\r\nKept: yes\r\n"} {
			if strings.Count(sent, want) != 1 {
				t.Errorf("%q is not once in what the origin got:\n%s", want, sent)
			}
		}
		if strings.Contains(sent, "mine") || !strings.Contains(strings.ToLower(sent), "x-sum: 1") {
			t.Errorf("the origin got\n%s", sent)
		}
		for _, want := range []string{"\r\nX-Frame-Options: DENY\r\n", "\r\nKept: yes\r\n", "\r\nLocation: https://else.test/?t=[secret]&u=[secret]\r\n", "\r\nSet-Cookie: a=[secret]\r\n"} {
			if strings.Count(got, want) != 1 {
				t.Errorf("%q is not once in what the client got:\n%s", want, got)
			}
		}
		for _, no := range []string{"4711", "none", "erver: "} {
			if strings.Contains(got, no) {
				t.Errorf("%q is in what the client got:\n%s", no, got)
			}
		}
		rec := r.record()
		if !slices.Equal(rec.Injected, []string{"Authorization"}) || rec.Outcome != Done {
			t.Errorf("%v, %s, %v", rec.Injected, rec.Outcome, rec.Err)
		}
	})
}

// What is wrong with an answer is told without what it repeats of a secret, nor
// of one that is longer than what is quoted, or has to be escaped for that.
func TestHeadersMalformedAnswerTellsNoSecret(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 20% x\r\n\r\n",
		"%\r\n\r\n",
		"HTTP/1.1 200 OK\r\n% :x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: %\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: %\r\n\r\n",
		"HTTP/1.1 101 %\r\nConnection: upgrade\r\nUpgrade: %\r\n\r\n",
	} {
		for _, secret := range []string{"to/ken-4711", "t\"4711\"/\\ken", strings.Repeat("4711/", 100)} {
			bothWays(t, func(t *testing.T, standard bool) {
				r, origin, saw := headersRig(t, injecting, standard, strings.ReplaceAll(answer, "%", secret), func(s *Server) {
					s.Generation().Secrets = map[string]string{"key": secret}
				})
				got := r.send(t, "GET http://%/ HTTP/1.1\r\nHost: %\r\nConnection: close\r\n\r\n", origin)
				saw()
				if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "4711") {
					t.Errorf("%q: the client got\n%s", answer, got)
				}
				if rec := r.record(); rec.Err == nil || strings.Contains(fmt.Sprint(rec.Err), "4711") {
					t.Errorf("%q: the log gets %v", answer, rec.Err)
				}
			})
		}
	}
}

// A handshake for WebSocket gets what any other request gets.
func TestHeadersOfWebSocket(t *testing.T) {
	bothWays(t, func(t *testing.T, standard bool) {
		r, origin, saw := headersRig(t, injecting, standard, "HTTP/1.1 101 to/ken-4711\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nServer: x\r\nX-Said: to/ken-4711\r\n\r\n", withSecret)
		got := r.send(t, "GET http://%/ HTTP/1.1\r\nHost: %\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: mine\r\ncookie: mine\r\n\r\n", origin)
		if sent := saw(); !strings.Contains(sent, "\r\nAuthorization: Bearer to/ken-4711\r\n") || strings.Contains(sent, "mine") {
			t.Errorf("the origin got\n%s", sent)
		}
		if !strings.HasPrefix(got, "HTTP/1.1 101 ") || strings.Contains(got, "4711") || strings.Contains(got, "Server") || !strings.Contains(got, "\r\nX-Frame-Options: DENY\r\n") || !strings.Contains(got, "\r\nX-Said: [secret]\r\n") {
			t.Errorf("the client got\n%s", got)
		}
	})
}

// Fields ahead of the answer are held to the same, and nothing is set there.
func TestHeadersOfEarlyHints(t *testing.T) {
	bothWays(t, func(t *testing.T, standard bool) {
		r, origin, saw := headersRig(t, injecting, standard, "HTTP/1.1 103 Early Hints\r\nServer: x\r\nLink: </to/ken-4711>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", withSecret)
		got := r.send(t, "GET http://%/ HTTP/1.1\r\nHost: %\r\nConnection: close\r\n\r\n", origin)
		saw()
		hints, final, _ := strings.Cut(got, "HTTP/1.1 204")
		if !strings.Contains(hints, "\r\nLink: </[secret]>\r\n") || strings.Contains(hints, "Server") || strings.Contains(hints, "X-Frame-Options") || !strings.Contains(final, "\r\nX-Frame-Options: DENY\r\n") {
			t.Errorf("the client got\n%s", got)
		}
	})
}

// Law 2 at the wire: no policy that loads is such, and a secret still does not
// leave over a connection that is not verified TLS.
func TestLaw2SecretStaysWithoutTLS(t *testing.T) {
	const rules = "  - {name: a, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n"
	bothWays(t, func(t *testing.T, standard bool) {
		r, origin, _ := headersRig(t, rules, standard, "HTTP/1.1 200 OK\r\n\r\n", withSecret, func(s *Server) {
			s.Generation().Policy.Rules[0].Request.Set = []policy.HeaderValue{{Name: "Authorization", Value: []policy.Part{{Secret: "key"}}}}
		})
		got := r.send(t, "GET http://%/ HTTP/1.1\r\nHost: %\r\nConnection: close\r\n\r\n", origin)
		rec := r.record()
		if !strings.HasPrefix(got, "HTTP/1.1 500 ") || rec.Status != http.StatusInternalServerError || rec.Cause != "proxy_configuration_error" || rec.Origin.Addr.IsValid() || rec.Injected != nil {
			t.Errorf("%+v, and the client got\n%s", rec, got)
		}
	})
}

func TestHeadersSecretThatIsNotLoaded(t *testing.T) {
	r, origin, _ := headersRig(t, injecting, false, "")
	got := r.send(t, "GET http://%/ HTTP/1.1\r\nHost: %\r\nConnection: close\r\n\r\n", origin)
	rec := r.record()
	if !strings.HasPrefix(got, "HTTP/1.1 500 ") || rec.Origin.Addr.IsValid() || rec.Err.Error() != `rule "a" sends a secret with this request, and cannot: secret "key" is not loaded` {
		t.Errorf("%v, and the client got\n%s", rec.Err, got)
	}
}

// A secret that happens to be the length of an answer does not take its end away.
func TestHeadersSecretThatIsALength(t *testing.T) {
	bothWays(t, func(t *testing.T, standard bool) {
		body := strings.Repeat("x", 8)
		r, origin, saw := headersRig(t, injecting, standard, "HTTP/1.1 200 OK\r\nContent-Length: 00000008\r\nX-Said: 00000008\r\n\r\n"+body, func(s *Server) {
			s.Generation().Secrets = map[string]string{"key": "00000008"}
		})
		got := r.send(t, "GET http://%/ HTTP/1.1\r\nHost: %\r\nConnection: close\r\n\r\n", origin)
		saw()
		if !strings.Contains(got, "8\r\n") || !strings.Contains(got, "\r\nX-Said: [secret]\r\n") || !strings.HasSuffix(got, "\r\n\r\n"+body) || strings.Contains(got, "Content-Length: [") {
			t.Errorf("the client got\n%s", got)
		}
	})
}

// A name can carry a secret as well as a value can, in other letters even.
func TestWithoutEcho(t *testing.T) {
	p := &passage{secrets: [][]byte{[]byte("Token-4711-long"), []byte("Token-4711")}}
	in := h1.Fields{field("X-TOKEN-4711", "1"), field("A", "Token-4711-long, Token-4711;token-4711"), field("B", "Token")}
	var got []string
	for _, f := range p.withoutEcho(in) {
		got = append(got, string(f.Name)+": "+string(f.Value))
	}
	if want := []string{"A: [secret], [secret];token-4711", "B: Token"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
