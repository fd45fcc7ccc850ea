package handlers_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestTerminal(t *testing.T) {
	cause := fmt.Errorf("reading: %w", fs.ErrNotExist)
	marked := handlers.Terminal(cause)
	if marked.Error() != cause.Error() {
		t.Errorf("Error = %q, want %q", marked, cause)
	}
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil":          {nil, false},
		"plain":        {cause, false},
		"marked":       {marked, true},
		"marked twice": {handlers.Terminal(marked), true},
		"wrapped":      {fmt.Errorf("handling: %w", marked), true},
		"joined":       {errors.Join(cause, marked), true},
		"marked nil":   {handlers.Terminal(nil), false},
	}
	for name, tc := range tests {
		if got := handlers.IsTerminal(tc.err); got != tc.want {
			t.Errorf("%s: IsTerminal = %v, want %v", name, got, tc.want)
		}
	}
	if handlers.Terminal(nil) != nil {
		t.Error("Terminal(nil) is not nil")
	}
	if !errors.Is(marked, fs.ErrNotExist) {
		t.Error("errors.Is does not see through the mark")
	}
}
