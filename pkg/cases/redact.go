package cases

import (
	"encoding/base64"
	"maps"
	"reflect"
	"strconv"
	"strings"
)

// Redacted stands for any value in a Secret that is expected.
const Redacted = "[REDACTED]"

// generated is what stands in an outcome for a value that was generated.
const generated = "<generated>"

// keepRedacted returns an object that came, with Redacted for the values of a Secret of which no
// more is expected.
func keepRedacted(want, got any) any {
	wanted, _ := want.(map[string]any)
	object, _ := got.(map[string]any)
	if !isSecret(wanted) || !isSecret(object) {
		return got
	}
	values, _ := wanted["data"].(map[string]any)
	data, _ := object["data"].(map[string]any)
	kept := maps.Clone(data)
	for name, value := range values {
		if _, there := kept[name]; there && value == Redacted {
			kept[name] = Redacted
		}
	}
	if reflect.DeepEqual(kept, data) {
		return got
	}
	object = maps.Clone(object)
	object["data"] = kept
	return object
}

// Redact replaces in the Secrets of an outcome, which came of an input without values of Secrets,
// what has not come from there. It returns false if other parts of the outcome have such values in
// them.
func Redact(outcome Outcome) bool {
	unknown := &Mask{}
	for _, section := range []Section{Children, Patches} {
		entries, _ := outcome[section].(map[string]any)
		for _, entry := range entries {
			if object, ok := entry.(map[string]any); ok && isSecret(object) {
				redactUnknown(object, unknown)
			}
		}
	}
	for _, value := range outcome {
		if !reflect.DeepEqual(unknown.Value(value), value) {
			return false
		}
	}
	return true
}

// isMaskName reports whether a value is what stands for another one, and nothing else: a value in
// which that is only a part may have the other one in it in a form that is not known.
func isMaskName(value string) bool {
	number, ok := strings.CutPrefix(value, maskPrefix)
	_, err := strconv.ParseUint(number, 10, 32)
	return ok && err == nil
}

// redactUnknown replaces the values of a Secret that a Mask has not made, and notes them.
func redactUnknown(object map[string]any, unknown *Mask) {
	data, _ := object["data"].(map[string]any)
	for name, value := range data {
		text, _ := value.(string)
		plain, err := base64.StdEncoding.DecodeString(text)
		if text == generated || err == nil && isMaskName(string(plain)) {
			continue
		}
		if err == nil {
			unknown.add(string(plain))
		}
		data[name] = Redacted
	}
}
