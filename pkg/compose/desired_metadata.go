package compose

import (
	"fmt"
	"maps"
	"slices"
)

// checkMetadata refuses metadata of another type than Kubernetes has it. What is read as absent is
// replaced: a namespace that is a number would be that of the parent.
func checkMetadata(tree map[string]any) error {
	metadata, ok := tree["metadata"].(map[string]any)
	if value, there := tree["metadata"]; there && !ok {
		return wrongType("metadata", value, "an object")
	}
	for _, name := range []string{"name", "namespace"} {
		if err := checkText("metadata."+name, metadata, name); err != nil {
			return err
		}
	}
	for _, name := range []string{"labels", "annotations"} {
		field := "metadata." + name
		texts, ok := metadata[name].(map[string]any)
		if value, there := metadata[name]; there && !ok {
			return wrongType(field, value, "an object")
		}
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			if err := checkText(fmt.Sprintf("%s[%q]", field, key), texts, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkText refuses a member that is there and is no string. field names it.
func checkText(field string, tree map[string]any, name string) error {
	value, there := tree[name]
	if _, ok := value.(string); ok || !there {
		return nil
	}
	return wrongType(field, value, "a string")
}

func wrongType(field string, value any, want string) error {
	is := "a number"
	switch value.(type) {
	case map[string]any:
		is = "an object"
	case []any:
		is = "a list"
	case string:
		is = "a string"
	case bool:
		is = "a boolean"
	}
	return fmt.Errorf("%s is %s, want %s", field, is, want)
}
