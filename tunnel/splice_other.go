// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tunnel

// A fastLane is empty where nothing is known to be better than Read and Write.
type fastLane struct{}

func (*fastLane) canRead() bool  { return false }
func (*fastLane) canWrite() bool { return false }

func (h *half) open()                     {}
func (h *half) readFast() ([]byte, error) { panic("tunnel: no fast lane on this platform") }

func (h *half) writeFast([]byte) (int, error) { panic("tunnel: no fast lane on this platform") }

// reallyEnded: see lane_linux.go. Elsewhere what the socket says is believed.
func (h *half) reallyEnded() bool { return true }

func (h *half) dead() bool { return false }
