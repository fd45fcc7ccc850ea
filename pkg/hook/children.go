package hook

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// generatedLabel is what children of a definition with a generated selector are selected by.
const generatedLabel = "controller-uid"

// maker makes the children of an answer.
type maker struct {
	config   Config
	parent   handlers.Object
	selector labels.Selector // nil selects everything
	mistakes *mistakes
	seen     map[string]string // the paths of the children by their names
}

// desire makes what an answer says should exist. All mistakes in it come together.
func (c *composer) desire(parent handlers.Object, answers []answered) ([]handlers.Child, error) {
	m := maker{config: c.config, parent: parent, mistakes: &mistakes{}, seen: map[string]string{}}
	if len(answers) > 0 {
		selector, err := c.selectorOf(parent)
		if err != nil {
			return nil, err
		}
		m.selector = selector
	}
	children := make([]handlers.Child, 0, len(answers))
	for _, a := range answers {
		before := m.mistakes.count()
		if child := m.make(a); m.mistakes.count() == before {
			children = append(children, child)
		}
	}
	return children, m.mistakes.err()
}

// selectorOf returns what the labels of all children have to match: spec.selector, as of a
// Deployment. It is nil for a parent that has none, and where none is asked for.
func (c *composer) selectorOf(parent handlers.Object) (labels.Selector, error) {
	if c.config.shape() == Decorator || c.config.GenerateSelector {
		return nil, nil //nolint:nilnil // everything is selected
	}
	var o struct {
		Spec struct {
			Selector *metav1.LabelSelector `json:"selector"`
		} `json:"spec"`
	}
	if err := parentInto(parent, &o); err != nil {
		return nil, fmt.Errorf("reading spec.selector of the %s: want a label selector, or say generateSelector: true: %w",
			parent.GroupVersionKind().Kind, err)
	}
	switch s := o.Spec.Selector; {
	case s == nil:
		return nil, nil //nolint:nilnil // everything is selected
	case len(s.MatchLabels)+len(s.MatchExpressions) == 0:
		return nil, fmt.Errorf("spec.selector of the %s is empty, which selects everything: want matchLabels or matchExpressions",
			parent.GroupVersionKind().Kind)
	default:
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			return nil, fmt.Errorf("reading spec.selector of the %s: %w", parent.GroupVersionKind().Kind, err)
		}
		return selector, nil
	}
}

// make makes one child. What is wrong with it is reported.
func (m maker) make(a answered) handlers.Child {
	given := fields{tree: a.tree, at: a.at, mistakes: m.mistakes}
	declared, ok := m.kind(given)
	if !ok {
		return handlers.Child{}
	}
	metadata, _ := given.object("metadata")
	if metadata.tree == nil {
		metadata.report("name", "is missing")
		return handlers.Child{}
	}
	name, namespace := metadata.text("name"), metadata.text("namespace")
	m.place(metadata, declared, name, namespace)
	if namespace == "" && isNamespaced(declared) {
		namespace = m.parent.Namespace()
	}
	child := handlers.Child{Name: m.name(declared, namespace, name), Policy: declared.policy()}
	if first, twice := m.seen[child.Name]; twice {
		given.report("", fmt.Sprintf("%s is the same object: %s", first, child.Name))
	}
	m.seen[child.Name] = a.at
	m.label(metadata)
	delete(a.tree, "status") // It is that of the cluster. A hook may give back what it has got.
	child.Object = &unstructured.Unstructured{Object: a.tree}
	return child
}

// kind finds the declaration of a child's kind.
func (m maker) kind(given fields) (Child, bool) {
	apiVersion, kind := given.text("apiVersion"), given.text("kind")
	if apiVersion == "" || kind == "" {
		given.report("", "want apiVersion and kind")
		return Child{}, false
	}
	var hint string
	for _, declared := range m.config.Children {
		switch {
		case declared.APIVersion == apiVersion && declared.Kind == kind:
			return declared, true
		case declared.groupKind() == schema.FromAPIVersionAndKind(apiVersion, kind).GroupKind():
			hint = fmt.Sprintf("; the definition has it as %s", declared.APIVersion)
		}
	}
	given.report("", fmt.Sprintf("is %s %s, which is not among the children of the definition%s",
		excerpt([]byte(apiVersion)), excerpt([]byte(kind)), hint))
	return Child{}, false
}

// isNamespaced reports whether the objects of a kind belong to namespaces, which is taken for
// granted where it is not known.
func isNamespaced(c Child) bool {
	resource, err := kinds.BuiltIn().Lookup(schema.FromAPIVersionAndKind(c.APIVersion, c.Kind))
	return err != nil || resource.Namespaced
}

// place checks how an object is called and where it is.
func (m maker) place(metadata fields, c Child, name, namespace string) {
	generate := metadata.text("generateName")
	inside := m.parent.Namespace()
	switch {
	case name == "" && generate != "":
		metadata.report("name", "is missing, and generateName would make another object for each call")
	case name == "":
		metadata.report("name", "is missing")
	case !isNamespaced(c) && namespace != "" && namespace != inside:
		metadata.report("namespace", fmt.Sprintf("is %s, and a %s has no namespace", excerpt([]byte(namespace)), c.Kind))
	case !isNamespaced(c):
		delete(metadata.tree, "namespace") // It may be set for all children alike.
	case namespace == "" && inside == "" && isKnown(c):
		metadata.report("namespace", "is missing, and the parent has none")
	case namespace != "" && inside != "" && namespace != inside && !c.AnyNamespace:
		metadata.report("namespace", fmt.Sprintf("is %s, and that of the parent is %q: say anyNamespace: true for the kind",
			excerpt([]byte(namespace)), inside))
	}
}

// isKnown reports whether Kubernetes has a kind, so that its scope is known.
func isKnown(c Child) bool {
	_, err := kinds.BuiltIn().Lookup(schema.FromAPIVersionAndKind(c.APIVersion, c.Kind))
	return err == nil
}

// name is the child's name within its parent: "ConfigMap/web", "Deployment.apps/web", or
// "ConfigMap/shop/web" in another namespace than that of the parent.
func (m maker) name(c Child, namespace, name string) string {
	if namespace != "" && namespace != m.parent.Namespace() {
		name = namespace + "/" + name
	}
	return c.groupKind().String() + "/" + name
}

// label checks the labels of a child, and adds the generated one.
func (m maker) label(metadata fields) {
	given, _ := metadata.object("labels")
	set := make(labels.Set, len(given.tree)+1)
	for _, key := range slices.Sorted(maps.Keys(given.tree)) {
		value := given.tree[key]
		if value == nil {
			continue
		}
		text, ok := value.(string)
		if !ok {
			given.report(key, fmt.Sprintf("is %s, want a string", handlers.KindOfJSON(value)))
		}
		set[key] = text
	}
	if uid := string(m.parent.UID()); m.config.GenerateSelector && m.config.shape() == Composite {
		switch set[generatedLabel] {
		case uid:
		case "":
			if given.tree == nil {
				given.tree = map[string]any{}
				metadata.tree["labels"] = given.tree
			}
			given.tree[generatedLabel] = uid
		default:
			given.report(generatedLabel, "is not the UID of the parent, by which children are selected")
		}
	}
	if m.selector != nil && !m.selector.Matches(set) {
		metadata.report("labels", fmt.Sprintf("they do not match spec.selector of the parent, %s", excerpt([]byte(m.selector.String()))))
	}
}
