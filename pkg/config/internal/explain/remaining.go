package explain

import (
	"slices"

	cueerrors "cuelang.org/go/cue/errors"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// Remaining reports what CUE complains of and nothing has explained yet. base is where the checked
// value stands.
func (c *Checker) Remaining(base diagnostic.Path, err error) {
	for _, e := range cueerrors.Errors(err) {
		at := diagnostic.ErrorPath(e.Path())
		if !slices.Equal(at[:min(len(at), len(base))], base) {
			at = base.With(at...)
		}
		if c.Explained(at) {
			continue
		}
		if len(at) > 0 && c.conflict(at, c.Doc.Lookup(at), nil) {
			continue
		}
		var places []diagnostic.Position
		for _, p := range cueerrors.Positions(e) {
			if known, ok := c.Doc.Position(p); ok {
				places = append(places, known)
			}
		}
		if len(places) == 0 {
			places = []diagnostic.Position{c.Doc.KeyPosition(at)}
		}
		hint := ""
		if len(places) == 2 {
			hint = "see " + places[1].String()
		}
		c.Add(places[0], at, diagnostic.FirstMessage(e), hint, places[1:]...)
	}
}
