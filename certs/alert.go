// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"fmt"
	"reflect"
)

// alertCode returns the number of an alert that crypto/tls received. Its type
// is unexported except for QUIC's users; the number is what is not going to
// change, unlike the words.
func alertCode(err error) (uint8, bool) {
	v := reflect.ValueOf(err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return uint8(v.Uint()), true
}

// explainAlert says what an origin means by an alert (RFC 8446 §6.2).
func explainAlert(code uint8) fault {
	refused := func(what, next string) fault { return fault{"origin_alert", what, next} }
	switch code {
	case 40: // handshake_failure; TLS 1.2's only word for a missing client certificate
		return refused("the origin found no terms in common (alert handshake_failure)",
			"it may want a client certificate (set `client_cert` on the rule) or an older TLS")
	case 42, 43, 44, 45, 46, 48:
		return fault{
			"origin_refused_client_certificate", fmt.Sprintf("the origin did not accept the client certificate, or misses one (alert %s)", alertNames[code]),
			"check `client_cert` on the rule",
		}
	case 49:
		return refused("the origin refuses this client (alert access_denied)", "ask its operator, or check `client_cert` on the rule")
	case 70, 86:
		return fault{
			"origin_tls_version", fmt.Sprintf("the origin speaks none of the TLS versions allowed (alert %s)", alertNames[code]),
			"it must offer TLS 1.2 or 1.3, see `min_tls`",
		}
	case 71:
		return refused("the origin wants stronger terms (alert insufficient_security)", "ask its operator which")
	case 80:
		return refused("the origin had an internal error (alert internal_error)", "does it know this name? see `sni`, or ask its operator")
	case 112:
		return fault{"origin_name_unknown", "the origin does not know this name (alert unrecognized_name)", "check the host, or set `sni` in a trust profile"}
	case 116:
		return fault{"origin_wants_client_certificate", "the origin requires a client certificate (alert certificate_required)", "set `client_cert` on the rule"}
	case 120:
		return fault{
			"origin_alpn_refusal", "the origin offers none of the protocols asked for (alert no_application_protocol)",
			"see `alpn` of its trust profile",
		}
	}
	name := alertNames[code]
	if name == "" {
		name = fmt.Sprint(code)
	}
	return refused("the origin broke off the TLS handshake (alert "+name+")", "ask its operator")
}

var alertNames = map[uint8]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
	40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
	49: "access_denied", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
	71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
	109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
	113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required",
	120: "no_application_protocol",
}
