package hook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// revisionAPIVersion and revisionKind are those of the objects in which revisions of parents
	// are kept.
	revisionAPIVersion = "apps/v1"
	revisionKind       = "ControllerRevision"
	// revisionAnnotation is on a child, and names the revision of the parent that it is made by.
	revisionAnnotation = "kooperd.dev/revision"
	// pathsAnnotation is on the object of a revision, and has the fields that it is made of.
	pathsAnnotation = "kooperd.dev/field-paths"
	// maxRevisionName leaves room for the hash in the name of an object.
	maxRevisionName = 240
)

var errNoNamespace = errors.New("children cannot be updated one after the other: the parent has no namespace, in which its revisions could be kept; " +
	"revisionHistory.namespace names one")

// revision is a parent as it was at one time: as it is now, but for the fields that make a
// revision.
type revision struct {
	name string // of its object
	// namespace is that of its object; empty for that of the parent.
	namespace string
	number    int64
	paths     string         // the fields that make it
	data      map[string]any // the fields
	parent    handlers.Object
	said      said
	byName    map[string]handlers.Child
}

// revisions are those of one parent that children are made by.
type revisions struct {
	latest *revision
	older  map[string]*revision // by name
	at     map[string]string    // the revision of each observed child, by the name of the child
}

// revisionPaths are the fields that make a revision, each as its steps.
func (c *composer) revisionPaths() [][]string {
	paths := []string{"spec"}
	if history := c.config.RevisionHistory; history != nil && len(history.FieldPaths) > 0 {
		paths = history.FieldPaths
	}
	split := make([][]string, len(paths))
	for i, path := range paths {
		split[i] = strings.Split(path, ".")
	}
	return split
}

// textOf is what the annotation says of the fields.
func textOf(paths [][]string) string {
	texts := make([]string, len(paths))
	for i, path := range paths {
		texts[i] = strings.Join(path, ".")
	}
	return strings.Join(texts, ",")
}

// revisionsOf finds the revisions that observed children are made by, and makes the latest one.
func (c *composer) revisionsOf(req handlers.ComposeRequest, at map[string]string) (*revisions, error) {
	namespace, err := c.revisionNamespace(req.Object)
	if err != nil {
		return nil, err
	}
	var now map[string]any
	if err := parentInto(req.Object, &now); err != nil {
		return nil, err
	}
	paths := c.revisionPaths()
	data := map[string]any{}
	for _, path := range paths {
		value, there, err := unstructured.NestedFieldCopy(now, path...)
		if err == nil && there {
			err = unstructured.SetNestedField(data, value, path...)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s of the parent: %w", strings.Join(path, "."), err)
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encoding the revision: %w", err)
	}
	all := &revisions{
		latest: &revision{
			name: c.revisionName(req.Object, text), namespace: namespace, paths: textOf(paths), data: data, parent: req.Object,
		},
		older: map[string]*revision{}, at: at,
	}
	last := int64(0)
	for _, child := range req.Children.OfKind(revisionAPIVersion, revisionKind) {
		found, err := readRevision(child.Object)
		if err != nil {
			return nil, err
		}
		last, found.namespace = max(last, found.number), namespace
		switch {
		case found.paths != all.latest.paths: // The parent cannot be made of it as it was.
		case found.hasData(text): // It may have another name, from before a rename of the definition.
			all.latest.name, all.latest.number = found.name, found.number
		case all.isUsed(found.name):
			if found.parent, err = asOf(now, paths, found.data); err != nil {
				return nil, err
			}
			all.older[found.name] = found
		}
	}
	if all.latest.number == 0 {
		all.latest.number = last + 1
	}
	return all, nil
}

// isUsed reports whether an observed child is made by a revision.
func (r *revisions) isUsed(name string) bool {
	for _, at := range r.at {
		if at == name {
			return true
		}
	}
	return false
}

// sorted are the latest revision, and then the others by their numbers.
func (r *revisions) sorted() []*revision {
	all := []*revision{r.latest}
	for _, older := range r.older {
		all = append(all, older)
	}
	slices.SortFunc(all[1:], func(a, b *revision) int {
		if a.number != b.number {
			return int(b.number - a.number)
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

// revisionName is the name of the object of a revision, the same for the same fields of one parent.
// Another definition may have revisions of the same parent.
func (c *composer) revisionName(parent handlers.Object, data []byte) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s", c.definition, parent.UID(), data))
	name := parent.Name()
	return name[:min(len(name), maxRevisionName)] + "-" + hex.EncodeToString(sum[:5])
}

// revisionNamespace is where the revisions of a parent are kept; empty for its own namespace.
func (c *composer) revisionNamespace(parent handlers.Object) (string, error) {
	switch history := c.config.RevisionHistory; {
	case parent.Namespace() != "":
		return "", nil
	case history == nil || history.Namespace == "":
		return "", errNoNamespace
	default:
		return history.Namespace, nil
	}
}

// hasData reports whether a revision has the fields of that encoding.
func (r *revision) hasData(text []byte) bool {
	own, err := json.Marshal(r.data)
	return err == nil && bytes.Equal(own, text)
}

// readRevision reads the object of a revision.
func readRevision(object handlers.Object) (*revision, error) {
	var o struct {
		Data     map[string]any `json:"data"`
		Revision int64          `json:"revision"`
	}
	if err := parentInto(object, &o); err != nil {
		return nil, fmt.Errorf("reading the revision %s: %w", object.Name(), err)
	}
	return &revision{
		name: object.Name(), number: o.Revision, data: o.Data, paths: object.Metadata().Annotations[pathsAnnotation],
	}, nil
}

// asOf makes the parent as it was: its fields of now, with those of a revision.
func asOf(now map[string]any, paths [][]string, data map[string]any) (handlers.Object, error) {
	was := (&unstructured.Unstructured{Object: now}).DeepCopy()
	for _, path := range paths {
		value, there, err := unstructured.NestedFieldCopy(data, path...)
		switch {
		case err != nil:
		case there:
			err = unstructured.SetNestedField(was.Object, value, path...)
		default:
			unstructured.RemoveNestedField(was.Object, path...)
		}
		if err != nil {
			return nil, fmt.Errorf("going back in %s: %w", strings.Join(path, "."), err)
		}
	}
	return handlers.ObjectOf(was)
}

// child is the object of a revision, as a child of the parent.
func (r *revision) child() handlers.Child {
	metadata := map[string]any{"name": r.name, "annotations": map[string]any{pathsAnnotation: r.paths}}
	if r.namespace != "" {
		metadata["namespace"] = r.namespace
	}
	return handlers.Child{Name: r.childName(), Object: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": revisionAPIVersion, "kind": revisionKind, "metadata": metadata, "revision": r.number, "data": r.data,
	}}}
}

// childName is the name of that child.
func (r *revision) childName() string { return revisionKind + ".apps/" + r.name }
