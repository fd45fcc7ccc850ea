package diagnostic

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPathString(t *testing.T) {
	tests := map[string]struct {
		path Path
		want string
	}{
		"root":    {nil, ""},
		"names":   {Path{"controllers", "pods-a", "watch"}, "controllers.pods-a.watch"},
		"indices": {Path{"a", "[0]", "[12]", "b"}, "a[0][12].b"},
		"quoted":  {Path{"a", "b.c", "", "é"}, `a."b.c".""."é"`},
	}
	for name, tc := range tests {
		if have := tc.path.String(); have != tc.want {
			t.Errorf("%s: %q, want %q", name, have, tc.want)
		}
	}
}

func TestParsePath(t *testing.T) {
	tests := map[string]Path{
		"":               nil,
		"argv[0]":        {"argv", "[0]"},
		"env.PATH":       {"env", "PATH"},
		`env."my-name"`:  {"env", "my-name"},
		"env.my-name":    {"env.my-name"},
		"headers[1].key": {"headers", "[1]", "key"},
	}
	for text, want := range tests {
		if diff := cmp.Diff(want, ParsePath(text)); diff != "" {
			t.Errorf("parsePath(%q) (-want +have):\n%s", text, diff)
		}
	}
}
