package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/cases"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// errNoCase means that a call cannot be made a case.
var errNoCase = errors.New("no case can be made of it")

// templates is the plugin that knows nothing but the file and its input, which has no values of
// Secrets any more. Others may have read some from elsewhere.
const templates = "apply"

// caseMaker makes cases of calls.
type caseMaker struct{ registry *handlers.Registry }

// recordedInput is what a call was asked, as JSON values.
type recordedInput struct {
	parent   map[string]any
	children map[string]map[string]any
	related  []map[string]any
}

// inputOf reads what a call was asked, without what says which state of an object it is.
func inputOf(call engine.Call) (in recordedInput, err error) {
	read := func(o handlers.Object) map[string]any {
		object := &unstructured.Unstructured{}
		if readErr := o.Into(object); readErr != nil {
			err = fmt.Errorf("reading %s %s: %w", o.GroupVersionKind().Kind, o.Name(), readErr)
			return nil
		}
		for _, field := range []string{"resourceVersion", "generation", "managedFields", "selfLink"} {
			unstructured.RemoveNestedField(object.Object, "metadata", field)
		}
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", lastApplied)
		return object.Object
	}
	in.parent = read(call.Request.Object)
	in.children = map[string]map[string]any{}
	for _, child := range call.Request.Children {
		if _, newer := in.children[child.Name]; newer {
			continue
		}
		if object := read(child.Object); object != nil {
			removeMarks(&unstructured.Unstructured{Object: object})
			in.children[child.Name] = object
		}
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(call.Request.Related)) {
		for _, o := range call.Request.Related[name] {
			if id := o.GroupVersionKind().String() + "/" + o.Namespace() + "/" + o.Name(); !seen[id] {
				seen[id] = true
				in.related = append(in.related, read(o))
			}
		}
	}
	return in, err
}

// mask takes the values of Secrets out of all of it.
func (in recordedInput) mask(mask *cases.Mask) recordedInput {
	names := slices.Sorted(maps.Keys(in.children))
	mask.Add(in.parent)
	for _, name := range names {
		mask.Add(in.children[name])
	}
	for _, object := range in.related {
		mask.Add(object)
	}
	masked := recordedInput{parent: mask.Object(in.parent), children: map[string]map[string]any{}}
	for _, name := range names {
		masked.children[mask.Text(name)] = mask.Object(in.children[name])
	}
	for _, object := range in.related {
		masked.related = append(masked.related, mask.Object(object))
	}
	return masked
}

// make returns the text of a case. What it expects is what comes of it here and now.
func (m caseMaker) make(ctx context.Context, call engine.Call) ([]byte, error) {
	in, err := inputOf(call)
	if err != nil {
		return nil, err
	}
	mask := &cases.Mask{}
	in = in.mask(mask)
	var composer handlers.Composer
	if call.Definition.Handler.External() {
		if call.Err != nil {
			return nil, fmt.Errorf("%w: the program or service has failed", errNoCase)
		}
		answer, err := readAnswer(call.Answer)
		if err != nil {
			return nil, err
		}
		composer = answer.composer(mask)
	}
	text, err := cases.New(cases.Input{
		Comment:    []string{fmt.Sprintf("Recorded from a call for %s %s.", call.Request.Object.GroupVersionKind().Kind, call.Request.Object.Name())},
		Definition: call.Definition.Name, Object: in.parent, Children: in.children, Related: in.related,
	})
	if err != nil {
		return nil, err
	}
	return m.expect(ctx, call.Definition, text, composer, in.scopes())
}

// scopes are the custom kinds of which objects have been seen without a namespace. Others are taken
// to have one.
func (in recordedInput) scopes() (found kinds.CustomKinds) {
	look := func(object map[string]any) {
		o := unstructured.Unstructured{Object: object}
		kind := o.GroupVersionKind()
		_, known := found.Find(kind)
		if _, err := kinds.BuiltIn().Lookup(kind); err != nil && o.GetNamespace() == "" && !known {
			resource := guessed(kind)
			resource.Namespaced = false
			found = append(found, kinds.CustomKind{Resource: resource})
		}
	}
	look(in.parent)
	for _, object := range in.children {
		look(object)
	}
	for _, object := range in.related {
		look(object)
	}
	return found
}

// expect adds to the text of a case what comes of it.
func (m caseMaker) expect(
	ctx context.Context, def config.Definition, text []byte, composer handlers.Composer, scopes kinds.CustomKinds,
) ([]byte, error) {
	read, err := cases.Parse("recorded"+cases.Suffix, text)
	if err != nil {
		return nil, err
	}
	c := &testCase{Case: read, composer: composer, try: &tryRun{
		custom: scopes,
		flags:  tryFlags{definition: def.Name, external: externalFlags{all: true}, tryView: tryView{secrets: true}},
		cfg:    &config.Config{Definitions: []config.Definition{def}}, registry: m.registry, stderr: io.Discard,
	}}
	if err := c.gather(); err != nil {
		return nil, err
	}
	got, _, err := c.outcome(ctx)
	if err != nil {
		return nil, err
	}
	if why, excluded := got[cases.Excluded]; excluded {
		return nil, fmt.Errorf("%w: without values of Secrets, it is no object of the definition: %v", errNoCase, why)
	}
	if def.Handler.Plugin() != templates && !cases.Redact(got) {
		return nil, fmt.Errorf("%w: what is in a Secret that it makes, and comes from no Secret, is in other objects, too", errNoCase)
	}
	return c.Rewrite(cases.Update(nil, got))
}

// recordedAnswer is what a program or a service has answered, as JSON values.
type recordedAnswer struct {
	handlers.Composition
	children, patches []map[string]any
	status            any
}

// readAnswer reads an answer.
func readAnswer(answer handlers.Composition) (read recordedAnswer, err error) {
	read.Composition = answer
	object := func(of runtime.Object) map[string]any {
		normal, normalErr := cases.Normal(of)
		if normalErr != nil {
			err = normalErr
		}
		object, _ := normal.(map[string]any)
		return object
	}
	for _, child := range answer.Children {
		read.children = append(read.children, object(child.Object))
	}
	for _, patch := range answer.Patches {
		read.patches = append(read.patches, object(patch.Object))
	}
	if answer.Status != nil {
		status, statusErr := cases.Normal(answer.Status)
		read.status, err = status, errors.Join(err, statusErr)
	}
	return read, err
}

// composer answers the same every time, without values of Secrets. It is asked in place of the
// program or service, which is not to be called once more with what it has not been asked.
func (a recordedAnswer) composer(mask *cases.Mask) handlers.Composer {
	answer := a.Composition
	answer.Children, answer.Patches = slices.Clone(answer.Children), slices.Clone(answer.Patches)
	texts := func(of []string) (all []string) {
		for _, text := range of {
			all = append(all, mask.Text(text))
		}
		return all
	}
	answer.Problems, answer.StatusPending = texts(answer.Problems), texts(answer.StatusPending)
	answer.Pending = slices.Clone(answer.Pending)
	for i, p := range answer.Pending {
		answer.Pending[i] = handlers.Pending{Name: mask.Text(p.Name), On: mask.Text(p.On), Why: mask.Text(p.Why)}
	}
	for i := range answer.Children {
		answer.Children[i].Object = &unstructured.Unstructured{Object: mask.Known(a.children[i])}
		answer.Children[i].Name = mask.Text(answer.Children[i].Name)
		answer.Children[i].After, answer.Children[i].Formerly = texts(answer.Children[i].After), texts(answer.Children[i].Formerly)
	}
	for i := range answer.Patches {
		answer.Patches[i].Object = &unstructured.Unstructured{Object: mask.Known(a.patches[i])}
		answer.Patches[i].Name = mask.Text(answer.Patches[i].Name)
	}
	if a.status != nil {
		answer.Status = mask.Value(a.status)
	}
	masked := func(of map[string]*string) map[string]*string {
		if of == nil {
			return nil
		}
		texts := map[string]*string{}
		for name, value := range of {
			if texts[name] = nil; value != nil {
				text := mask.Text(*value)
				texts[name] = &text
			}
		}
		return texts
	}
	answer.Labels, answer.Annotations = masked(answer.Labels), masked(answer.Annotations)
	return handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) { return answer, nil })
}

// shapeOf is the same for calls that differ in nothing but values: the same fields are set, there
// are as many children of each kind, before and after, and as many related objects of each kind.
func shapeOf(call engine.Call) (string, error) {
	in, err := inputOf(call)
	if err != nil {
		return "", err
	}
	delete(in.parent, "status") // It is what calls before have made.
	counts := map[string]int{}
	for _, child := range in.children {
		counts[fmt.Sprint("child ", child["kind"])]++
	}
	for _, object := range in.related {
		counts[fmt.Sprint("related ", object["kind"])]++
	}
	for _, child := range call.Answer.Children {
		if child.Object == nil {
			return "", fmt.Errorf("%w: child %q has no object", errNoCase, child.Name)
		}
		counts["desired "+child.Object.GetObjectKind().GroupVersionKind().Kind]++
	}
	counts["patches"], counts["pending"] = len(call.Answer.Patches), len(call.Answer.Pending)
	if call.Err != nil {
		counts["error"]++
	}
	text, err := json.Marshal(map[string]any{"parent": shapeOfValue(in.parent), "counts": counts})
	if err != nil {
		return "", fmt.Errorf("reading a call: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4]), nil
}

// shapeOfValue is a value without texts and numbers. Of a list, it has each shape once.
func shapeOfValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		shape := make(map[string]any, len(value))
		for name, member := range value {
			shape[name] = shapeOfValue(member)
		}
		return shape
	case []any:
		shapes := map[string]any{}
		for _, element := range value {
			shape := shapeOfValue(element)
			text, err := json.Marshal(shape)
			if err != nil {
				continue // It was JSON before.
			}
			shapes[string(text)] = shape
		}
		list := []any{}
		for _, text := range slices.Sorted(maps.Keys(shapes)) {
			list = append(list, shapes[text])
		}
		return list
	case bool:
		return value
	default:
		return nil
	}
}
