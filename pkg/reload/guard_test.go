package reload

import (
	"testing"

	"kooperd.dev/kooperd/pkg/config"
)

// A definition that goes on under another name is not missing.
func TestARenameIsNoRemoval(t *testing.T) {
	running := &config.Config{Definitions: []config.Definition{{Name: "a"}, {Name: "b", Children: config.Children{ID: "x"}}}}
	for name, tc := range map[string]struct {
		definitions []config.Definition
		refused     bool
	}{
		"renamed":         {definitions: []config.Definition{{Name: "c", Children: config.Children{Formerly: []string{"a"}}}, {Name: "d", Children: config.Children{Formerly: []string{"x"}}}}},
		"with the old id": {definitions: []config.Definition{{Name: "c", Children: config.Children{ID: "a"}}, {Name: "d", Children: config.Children{ID: "x"}}}},
		"by its name":     {definitions: []config.Definition{{Name: "c"}, {Name: "d", Children: config.Children{Formerly: []string{"b"}}}}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := (guard{}).removals(running, &config.Config{Definitions: tc.definitions}); (err != nil) != tc.refused {
				t.Errorf("removals: %v, want refused %v", err, tc.refused)
			}
		})
	}
}
