package engine

import (
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

func TestWrittenRef(t *testing.T) {
	for written, want := range map[string]statusz.ObjectRef{
		"pods/shop/web-0":          {Kind: "pods", Namespace: "shop", Name: "web-0"},
		"clusterroles/system:node": {Kind: "clusterroles", Name: "system:node"},
		"pods":                     {},
		"a/b/c/d":                  {},
	} {
		if got, ok := writtenRef(written); got != want || ok == (want == statusz.ObjectRef{}) {
			t.Errorf("%s is %+v, %t", written, got, ok)
		}
	}
}

// TestKindOfWritten has a definition that watches pods, of which there is one.
func TestKindOfWritten(t *testing.T) {
	inRemembering(t, 1, func(r *rig) {
		r.start(r.definition("pods", "1"))
		time.Sleep(time.Second)
		all := NewReporter(r.Engine).sorted()
		for written, want := range map[string]string{
			"pods/" + key(0).Namespace + "/" + key(0).Name:     "Pod",
			"pods/" + key(0).Namespace + "/another":            "",
			"pods/" + key(0).Namespace:                         "",
			"services/" + key(0).Namespace + "/" + key(0).Name: "",
		} {
			if got := kindOfWritten(all, written); got != want {
				t.Errorf("%s is of kind %q, want %q", written, got, want)
			}
		}
		r.stop()
	})
}
