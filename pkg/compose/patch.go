package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// PatchManagers is what the field managers of patches begin with. Each parent has one,
// "kooperd/DEFINITION/UID", so that what one contributes can go without the others.
const PatchManagers = FieldManager + "/"

// PatchManager is the field manager of what a parent contributes to other objects. It is shorter
// than the 128 characters that the API server allows.
func PatchManager(definition string, parent types.UID) string {
	return PatchManagers + definition + "/" + string(parent)
}

// ParsePatchManager takes the name of a field manager apart; ok is false for one that is none of a
// patch.
func ParsePatchManager(manager string) (definition string, parent types.UID, ok bool) {
	rest, ok := strings.CutPrefix(manager, PatchManagers)
	if !ok {
		return "", "", false
	}
	definition, uid, ok := strings.Cut(rest, "/")
	return definition, types.UID(uid), ok && definition != "" && uid != ""
}

// patchedSuffix follows the installation in the name of the label of what is patched.
const patchedSuffix = ".kooperd.dev/patched"

// PatchedLabel is the label of all objects to which an installation contributes. All field managers
// of patches set it to PatchedValue, so it is there for as long as one of them has something there.
func PatchedLabel(installation string) string { return installation + patchedSuffix }

// PatchedValue is the value of PatchedLabel.
const PatchedValue = "true"

// DesiredPatch is what should be contributed to an object.
type DesiredPatch struct {
	// ID names the object.
	ID ChildID
	// Kind is the kind in the version that is applied.
	Kind schema.GroupVersionKind
	// Name is the patch's name within its parent.
	Name string
	// After names children that have to be ready before it is applied.
	After []string

	tree map[string]any // what is applied, the mark included
	hash string
}

// makePatch makes a patch of what the composer says. The error is a mistake of the composer. m has
// the kinds that may be patched.
func (m maker) makePatch(patch handlers.Patch) (*DesiredPatch, error) {
	fail := func(err error) (*DesiredPatch, error) { return nil, fmt.Errorf("patch %q: %w", patch.Name, err) }
	tree, err := treeOf(patch.Object)
	if err != nil {
		return fail(err)
	}
	apiVersion, _ := tree["apiVersion"].(string)
	kind, _ := tree["kind"].(string)
	owned, ok := m.kinds[schema.FromAPIVersionAndKind(apiVersion, kind)]
	if !ok {
		return fail(fmt.Errorf("the plugin does not say that it patches %s %s", apiVersion, kind)) //nolint:err113 // a mistake
	}
	named := &Desired{Name: patch.Name, tree: tree}
	if _, err := m.identify(named); err != nil {
		return fail(err)
	}
	if _, untyped := patch.Object.(*unstructured.Unstructured); !untyped {
		withoutEmpty(tree)
	}
	d := &DesiredPatch{ID: named.ID, Kind: named.Kind, Name: named.Name, After: patch.After, tree: tree}
	if err := checkContribution(tree, owned.MetadataOnly); err != nil {
		return fail(err)
	}
	if d.ID.Kind == ofSecrets {
		encodeStringData(tree)
	}
	object(object(tree, "metadata"), "labels")[PatchedLabel(m.installation)] = PatchedValue
	text, err := json.Marshal(tree)
	if err != nil {
		return fail(fmt.Errorf("encoding it: %w", err))
	}
	sum := sha256.Sum256(text)
	d.hash = hex.EncodeToString(sum[:16])
	return d, nil
}

// withoutEmpty removes empty objects at any depth: in a struct of Kubernetes they are fields that
// are not set.
func withoutEmpty(tree map[string]any) {
	for name, member := range tree {
		below, isObject := member.(map[string]any)
		if !isObject {
			continue
		}
		if withoutEmpty(below); len(below) == 0 {
			delete(tree, name)
		}
	}
}

// contributed are the members of the metadata that a patch may have.
var contributed = []string{"name", "namespace", "labels", "annotations"}

// checkContribution looks at what a patch has. An owner reference would let the garbage collector
// delete the object, and a finalizer would keep it; a status is not taken from one who applies the
// object.
func checkContribution(tree map[string]any, metadataOnly bool) error {
	metadata := object(tree, "metadata")
	for name := range metadata {
		if !slices.Contains(contributed, name) {
			return fmt.Errorf("metadata.%s cannot be contributed: of the metadata, want labels and annotations", name) //nolint:err113 // a mistake
		}
	}
	labels, _ := metadata["labels"].(map[string]any)
	for name := range labels {
		if slices.Contains(markLabels, name) || strings.HasSuffix(name, patchedSuffix) {
			return fmt.Errorf("label %s is a mark of kooperd", name) //nolint:err113 // a mistake
		}
	}
	annotated, _ := metadata["annotations"].(map[string]any)
	something := len(labels) > 0 || len(annotated) > 0
	for name := range tree {
		switch {
		case name == "apiVersion", name == "kind", name == "metadata":
		case name == "status":
			return errors.New("a status cannot be contributed")
		case metadataOnly:
			return fmt.Errorf("it has %s, and the plugin says MetadataOnly", name) //nolint:err113 // a mistake
		default:
			something = true
		}
	}
	if !something {
		return errors.New("it contributes nothing")
	}
	return nil
}

// body is what is sent to apply a patch: for the very object that was seen, so that none is made
// and no later one of that name is changed.
func (d *DesiredPatch) body(uid types.UID) ([]byte, error) {
	return json.Marshal(withUID(d.tree, uid))
}

// withUID returns a copy of a tree that is about the object of that UID.
func withUID(tree map[string]any, uid types.UID) map[string]any {
	copied, metadata := maps.Clone(tree), maps.Clone(object(tree, "metadata"))
	metadata["uid"] = string(uid)
	copied["metadata"] = metadata
	return copied
}
