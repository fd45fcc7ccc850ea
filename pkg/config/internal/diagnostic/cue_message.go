package diagnostic

import (
	"strings"

	cueerrors "cuelang.org/go/cue/errors"
)

// FirstMessage returns what CUE says of the first mistake, without its path.
func FirstMessage(err error) string {
	for _, e := range cueerrors.Errors(err) {
		message := strings.TrimPrefix(e.Error(), strings.Join(e.Path(), ".")+": ")
		if message == "field not allowed" {
			message = "not allowed by the definition that it is unified with"
		}
		if message = strings.TrimSpace(message); message != "" {
			return strings.TrimSuffix(message, ":")
		}
	}
	return err.Error()
}
