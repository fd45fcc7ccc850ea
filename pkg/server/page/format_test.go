package page

import (
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

func TestFormats(t *testing.T) {
	now := time.Date(2026, time.November, 27, 9, 41, 7, 0, time.UTC)
	tests := map[string]struct{ got, want string }{
		"no age":               {age(now, time.Time{}), "–"},
		"age":                  {age(now, now.Add(-3*time.Hour-12*time.Minute)), "3h12m"},
		"ago":                  {ago(now, now.Add(-9*time.Second)), "9s ago"},
		"later":                {ago(now, now.Add(41*time.Second)), "in 41s"},
		"moment":               {moment(now.In(time.FixedZone("there", 3600))), "2026-11-27 09:41:07 UTC"},
		"number":               {number(7), "7"},
		"thousand":             {number(1234), "1,234"},
		"million":              {number(1234567), "1,234,567"},
		"below zero":           {number(-123456), "-123,456"},
		"one":                  {plural(1, "source", "sources"), "1 source"},
		"many":                 {plural(1200, "source", "sources"), "1,200 sources"},
		"control characters":   {clean("a\x00b\x1b[31mc\nd\u2028"), "a\ufffdb\ufffd[31mc d\ufffd"},
		"short enough":         {short("ünïcode", 7), "ünïcode"},
		"too long":             {short("ünïcode is long", 9), "ünïcode…"},
		"words":                {words("notReady"), "not ready"},
		"a word":               {words("ready"), "ready"},
		"hash":                 {shortHash("sha256:0123456789abcdef"), "0123456789ab"},
		"short hash":           {shortHash("0123"), "0123"},
		"object":               {namedPath("Pod/shop/web-0"), "objects/Pod/shop/web-0"},
		"object, no namespace": {namedPath("Node//node-1"), "objects/Node/node-1"},
		"object, two parts":    {namedPath("Node/node-1"), "objects/Node/node-1"},
		"object with a colon":  {namedPath("ClusterRole/system:node"), "objects/ClusterRole/system:node"},
		"resource":             {namedPath("pods/shop/web-0"), ""},
		"no object":            {namedPath("Pod"), ""},
		"no name":              {namedPath("Pod/shop/"), ""},
		"no kind":              {namedPath("/shop/web"), ""},
		"path": {
			ObjectPath(statusz.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "a b", Name: "c?d"}),
			"objects/Deployment/a%20b/c%3Fd?apiVersion=apps%2Fv1",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("%q, want %q", tc.got, tc.want)
			}
		})
	}
}

func TestDiffIsBounded(t *testing.T) {
	long := ""
	for range maxDiffLines + 5 {
		long += "+\tx\n"
	}
	lines := diffLines(long)
	if len(lines) != maxDiffLines+1 || lines[0] != (diffLine{"add", "+    x"}) || lines[maxDiffLines].Class != "same" {
		t.Errorf("%d lines, the first %q, the last %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if got := diffLines("-a\n b\n"); got[0].Class != "del" || got[1].Class != "same" {
		t.Errorf("lines %q", got)
	}
}
