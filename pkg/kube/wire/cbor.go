package wire

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
)

// cborPrefix is the tag of self-described CBOR, which begins every answer of an API server in CBOR.
var cborPrefix = []byte{0xd9, 0xd9, 0xf7}

// cborToJSON writes an answer in CBOR as JSON. Lists and watches never ask for CBOR; the client of
// a handler does when client-go's feature gate is on.
func cborToJSON(data []byte) ([]byte, error) {
	var value any
	if err := direct.Unmarshal(data, &value); err != nil {
		return nil, fmt.Errorf("reading CBOR: %w", err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing CBOR as JSON: %w", err)
	}
	return text, nil
}
