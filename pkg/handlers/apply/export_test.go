package apply

import "kooperd.dev/kooperd/pkg/handlers"

// Decode decodes an object as a composer does for its expressions.
func Decode(object handlers.Object) error {
	_, err := decoded(object)
	return err
}
