package config

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
)

// Digest identifies what a definition does: two definitions with equal digests are handled in the
// same way, and one can go on in place of the other. The name is no part of it. The zero Digest
// stands for a definition that Load has not made; it says nothing, not even of another zero one.
type Digest [sha256.Size]byte

// digestOf is the SHA-256 of the definition's effective JSON, so that neither formatting, comments,
// the order of fields nor the names of files matter, and neither does which of two equal forms of a
// setting was written.
func digestOf(d Definition) (Digest, error) {
	effective := controllerOf(d, d.Handler.JSON())
	effective.Ignore = slices.Sorted(slices.Values(effective.Ignore))
	said := map[string]any{"plugin": d.Handler.Plugin(), "definition": effective}
	if len(d.Donors) > 0 { // It is another matter when the definitions of these ids are gone.
		said["donors"] = d.Donors
	}
	text, err := json.Marshal(said)
	if err != nil {
		return Digest{}, fmt.Errorf("encoding controller %q: %w", d.Name, err)
	}
	return sha256.Sum256(text), nil
}
