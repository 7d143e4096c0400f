// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import "testing"

func TestPageLog(t *testing.T) {
	const records = `[{"level":"info","status":502,"ms":{"total":4.712,"dns":1},"error":"a \"b\" <c>","list":["x","y"],"no":null},{"status":200}]`
	for _, test := range []struct {
		log   string
		whole bool
		want  string
	}{
		{records, true, "level info\nstatus 502\nms.total 4.712\nms.dns 1\nerror a \"b\" <c>\nlist x\nlist y\nno null\n\nstatus 200"},
		{records, false, "status 502\nms.total 4.712\nerror a \"b\" <c>\nlist x\nlist y\nno null\n\nstatus 200"},
		{`{"status":9007199254740993}`, true, "status 9007199254740993"},
		{`{"status":`, true, `{"status":`},
		{`text`, true, "text"},
		{"", true, ""},
	} {
		if got := viewLog([]byte(test.log), test.whole); got != test.want {
			t.Errorf("%s, whole %v, is shown as\n%s\nand has to be\n%s", test.log, test.whole, got, test.want)
		}
	}
}
