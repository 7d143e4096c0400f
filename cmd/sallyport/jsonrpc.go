// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// JSON-RPC 2.0 in the framing of the Language Server Protocol 3.17, "Base
// Protocol": header fields as in HTTP, an empty line, the message.

// Bounds of what a client sends. A policy has at most 4 MiB, of which JSON may
// make six times as much.
const (
	maxMessage    = 64 << 20
	maxHeaderLine = 4 << 10
	maxHeaders    = 32
)

// Codes of errors; the second block is the Language Server Protocol's.
const (
	rpcParseError     = -32700
	rpcInvalidRequest = -32600
	rpcNoMethod       = -32601
	rpcInvalidParams  = -32602
	rpcInternalError  = -32603

	rpcNotInitialized  = -32002
	rpcContentModified = -32801
	rpcCancelled       = -32800
	rpcServerCancelled = -32802
	rpcRequestFailed   = -32803
)

// An rpcError is how a request is answered that cannot be served.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return e.Message }

func rpcErrorf(code int, format string, args ...any) *rpcError {
	return &rpcError{code, fmt.Sprintf(format, args...)}
}

// An rpcMessage is a request, a notification (no ID), or an answer (no Method).
type rpcMessage struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

// errTooLong is a message that was read over; the next one can be read.
var errTooLong = fmt.Errorf("the message is longer than %d MiB", maxMessage>>20)

// readMessage reads the next message's text. io.EOF is the end between two
// messages; any other error but errTooLong leaves nothing to go on with.
func readMessage(r *bufio.Reader) ([]byte, error) {
	length := int64(-1)
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		switch {
		case err == io.EOF && n == 0 && len(line) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case errors.Is(err, bufio.ErrBufferFull) || n == maxHeaders:
			return nil, errors.New("the header of a message is too long")
		case err != nil:
			return nil, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("%.40q is no header field", text)
		}
		if strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
			if length, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64); err != nil || length < 0 {
				return nil, fmt.Errorf("%.40q is no length of a message", value)
			}
		}
	}
	switch {
	case length < 0:
		return nil, errors.New("a message without Content-Length")
	case length > maxMessage:
		if _, err := io.CopyN(io.Discard, r, length); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, errTooLong
	}
	// What is announced need not come: memory is taken as it comes.
	body, err := io.ReadAll(io.LimitReader(r, length))
	if err == nil && int64(len(body)) < length {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// frame is m as it is sent.
func frame(m rpcMessage) ([]byte, error) {
	m.Version = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "Content-Length: %d\r\n\r\n", len(body)), body...), nil
}
