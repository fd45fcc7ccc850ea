package compose

import "testing"

func TestWording(t *testing.T) {
	for _, same := range [][2]string{
		{"too large by 17 bytes", "too large by 18 bytes"},
		{"took 1.5s, (limit: 250ms)", "took 1m30s, (limit: 2s)"},
		{"exceeded quota: 3/5 used, 512Mi", "exceeded quota: 4/5 used, 1.5Gi"},
		{"read tcp 10.0.0.1:34562->10.0.0.2:443: refused", "read tcp 10.0.0.1:34563->10.0.0.2:443: refused"},
		{`at "2026-11-27T03:04:05Z", 50%`, `at "2026-11-28T03:04:06.5+01:00", 7%`},
		{"uid 0a1b2c3d-1111-2222-3333-444455556666 at 0xc000", "uid 9a1b2c3d-1111-2222-3333-444455556666 at 0xc0ff"},
	} {
		if wordingOf(same[0]) != wordingOf(same[1]) {
			t.Errorf("%q and %q are two troubles: %q, %q", same[0], same[1], constantWords(same[0]), constantWords(same[1]))
		}
	}
	for _, other := range [][2]string{
		{"page1: no such key", "page2: no such key"},
		{"ConfigMap team-a/web-1: held", "ConfigMap team-a/web-2: held"},
		{"reading items/7", "reading items/8"},
		{"v1 is not served", "v2 is not served"},
		{"a1 is missing", "b2 is missing"},
		{"ab c", "a bc"},
	} {
		if wordingOf(other[0]) == wordingOf(other[1]) {
			t.Errorf("%q and %q are one trouble", other[0], other[1])
		}
	}
}
