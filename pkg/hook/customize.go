package hook

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// relater is a composer with a customize hook.
type relater struct{ *composer }

var _ handlers.Relater = (*relater)(nil)

// Relate implements handlers.Relater.
func (r *relater) Relate(ctx context.Context, parent handlers.Object) ([]handlers.Related, error) {
	related, err := r.ask(ctx, parent)
	if err != nil {
		return nil, fmt.Errorf("%s hook: %w", Customize, err)
	}
	return related, nil
}

// Compose implements handlers.Composer. What the customize hook has asked for is known by the names
// of what was found.
func (r *relater) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	asked := make([]handlers.Related, 0, len(req.Related))
	for _, name := range slices.Sorted(maps.Keys(req.Related)) {
		if kind, ok := kindOfRule(name); ok {
			asked = append(asked, handlers.Related{Name: name, APIVersion: kind.GroupVersion().String(), Kind: kind.Kind})
		}
	}
	return r.compose(ctx, req, asked)
}

func (r *relater) ask(ctx context.Context, parent handlers.Object) ([]handlers.Related, error) {
	text, err := parent.JSON()
	if err != nil {
		return nil, err
	}
	body, err := encode(customizeRequest{Controller: r.controller, Parent: text})
	if err != nil {
		return nil, err
	}
	answer, err := r.caller.Call(ctx, Call{Hook: Customize, Parent: parent, Body: body})
	if err != nil {
		return nil, err
	}
	given, wrong, err := r.format.fieldsOf(answer, "relatedResources")
	if err != nil {
		return nil, err
	}
	rules := &ruleReader{composer: r.composer, parent: parent}
	given.objects("relatedResources", rules.read)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return rules.asked, nil
}

// nameOfRule is the name of what an entry of an answer asks for. It says of which kind that is.
func nameOfRule(index int, apiVersion, kind string) string {
	return fmt.Sprintf("relatedResources[%d] %s %s", index, apiVersion, kind)
}

// kindOfRule is the kind in such a name.
func kindOfRule(name string) (schema.GroupVersionKind, bool) {
	words := strings.Split(name, " ")
	if len(words) != 3 {
		return schema.GroupVersionKind{}, false
	}
	return schema.FromAPIVersionAndKind(words[1], words[2]), true
}

// ruleReader reads the entries of an answer of a customize hook.
type ruleReader struct {
	*composer
	parent handlers.Object
	asked  []handlers.Related
}

// read reads one entry.
func (r *ruleReader) read(given fields) {
	given.known(r.format.loose, "apiVersion", "resource", "labelSelector", "namespaceSelector", "namespace", "names")
	reads := r.declared(given, given.text("apiVersion"), given.text("resource"))
	if len(reads) == 0 {
		return
	}
	read := reads[0]
	related := handlers.Related{
		Name: nameOfRule(len(r.asked), read.APIVersion, read.Kind), APIVersion: read.APIVersion, Kind: read.Kind,
		LabelSelector: given.selector("labelSelector"), NamespaceSelector: given.selector("namespaceSelector"),
		Namespace: given.text("namespace"), ObjectNames: given.texts("names"),
	}
	r.check(given, reads, related)
	if r.isConfined() && related.Namespace == "" {
		related.SameNamespace = true
	}
	r.asked = append(r.asked, related)
}

// isConfined reports whether nothing but the namespace of the parent may be read.
func (r *ruleReader) isConfined() bool { return r.config.version() == V1 && r.parent.Namespace() != "" }

// declared finds the declarations of a resource.
func (r *ruleReader) declared(given fields, apiVersion, resource string) (found []Read) {
	var known []string
	for _, read := range r.config.Reads {
		plural := resourceOf(schema.FromAPIVersionAndKind(read.APIVersion, read.Kind), read.Resource)
		if read.APIVersion == apiVersion && plural == resource {
			found = append(found, read)
		}
		known = append(known, read.APIVersion+" "+plural)
	}
	if len(found) > 0 {
		return found
	}
	given.report("", fmt.Sprintf("asks for %s %s, which is not among the reads of the definition: %s",
		excerpt([]byte(apiVersion)), excerpt([]byte(resource)), strings.Join(known, ", ")))
	return nil
}

// check reports what does not go together, and what none of the declarations has.
func (r *ruleReader) check(given fields, reads []Read, related handlers.Related) {
	elsewhere := func(read Read) bool { return read.Namespace != "" && read.Namespace != related.Namespace }
	resource, err := kinds.BuiltIn().Lookup(related.GroupVersionKind())
	switch {
	case slices.Contains(related.ObjectNames, ""):
		given.report("names", fmt.Sprintf("item %d is empty", slices.Index(related.ObjectNames, "")))
	case len(related.ObjectNames) > 0 && (related.LabelSelector != nil || related.NamespaceSelector != nil):
		given.report("names", "do not go together with labelSelector or namespaceSelector")
	case related.NamespaceSelector != nil && related.Namespace != "":
		given.report("namespaceSelector", "does not go together with namespace")
	case related.NamespaceSelector != nil && r.isConfined():
		given.report("namespaceSelector", "is for objects without a namespace, by v1: this one sees its own namespace alone")
	case related.NamespaceSelector != nil && !slices.ContainsFunc(reads, func(read Read) bool { return read.NamespaceSelector != nil }):
		given.report("namespaceSelector", fmt.Sprintf("the definition does not read %s %s by the labels of namespaces: say namespaceSelector: \"\" there",
			related.APIVersion, related.Kind))
	case related.NamespaceSelector != nil && err == nil && !resource.Namespaced:
		given.report("namespaceSelector", fmt.Sprintf("is for objects of namespaces, and a %s has none", related.Kind))
	case related.Namespace != "" && r.isConfined() && related.Namespace != r.parent.Namespace():
		given.report("namespace", fmt.Sprintf("is %s, and by v1 an object of the namespace %q sees that alone",
			excerpt([]byte(related.Namespace)), r.parent.Namespace()))
	case related.Namespace != "" && !slices.ContainsFunc(reads, func(read Read) bool { return !elsewhere(read) }):
		var known []string
		for _, read := range reads {
			known = append(known, strconv.Quote(read.Namespace))
		}
		given.report("namespace", fmt.Sprintf("is %s, and the definition reads the namespace %s alone",
			excerpt([]byte(related.Namespace)), strings.Join(known, " and ")))
	}
}

// selector reads a label selector; nil if it is not there. One that is empty selects everything.
func (f fields) selector(name string) *metav1.LabelSelector {
	given, there := f.object(name)
	if !there {
		return nil
	}
	given.known(false, "matchLabels", "matchExpressions")
	selector := &metav1.LabelSelector{}
	matched := given.marks("matchLabels")
	for _, key := range slices.Sorted(maps.Keys(matched)) {
		value := matched[key]
		if value == nil {
			given.report("matchLabels", fmt.Sprintf("%s is null, want a string", excerpt([]byte(key))))
			continue
		}
		if selector.MatchLabels == nil {
			selector.MatchLabels = map[string]string{}
		}
		selector.MatchLabels[key] = *value
	}
	given.objects("matchExpressions", func(e fields) {
		e.known(false, "key", "operator", "values")
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: e.text("key"), Operator: metav1.LabelSelectorOperator(e.text("operator")), Values: e.texts("values"),
		})
	})
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		given.report("", fmt.Sprintf("is no label selector: %.*s", maxExcerpt, err))
	}
	return selector
}
