package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/cases"
	"kooperd.dev/kooperd/pkg/engine"
)

// try runs a case. The error is not about the case.
func (r *testRun) try(ctx context.Context, c *testCase) (testResult, error) {
	result := testResult{Name: c.Name, File: c.Path, Definition: cmp.Or(c.choice.definition.Name, c.Definition), Result: testPassed}
	if c.skip != "" {
		result.Result, result.Why = testSkipped, c.skip
		return result, nil
	}
	got, tried, err := c.outcome(ctx)
	if ctx.Err() != nil {
		return result, fmt.Errorf("running %s: %w", c.Name, context.Cause(ctx))
	}
	if err != nil {
		result.Result, result.Why = testFailed, "it cannot be run: "+err.Error()
		return result, nil //nolint:nilerr // the case has failed, and the others go on
	}
	differences := cases.Compare(c.Expect, got)
	switch {
	case len(differences) == 0 && c.Expect != nil:
		return result, nil
	case r.flags.update && !cases.Loses(c.Expect, got):
		if err := c.update(got); err != nil {
			return result, err
		}
		result.Result = testUpdated
		return result, nil
	}
	result.Result, result.Notes = testFailed, slices.DeleteFunc(tried.Notes, func(note string) bool { return note == engine.LeftOutNote })
	if tried.Err != nil {
		result.At = c.try.locate(c.choice.definition, tried.Err)
	}
	if r.flags.update {
		result.Notes = append(result.Notes, "--update does not write this: what was expected besides would be forgotten; "+
			"if nothing else is to come of the case, take expect out of the file first")
	}
	for _, d := range differences {
		result.Differences = append(result.Differences, maskedDifference(d, tried.Redact))
	}
	return result, nil
}

// outcome runs the definition.
func (c *testCase) outcome(ctx context.Context) (cases.Outcome, *engine.Tried, error) {
	finder, notes, err := c.try.offlineKinds(c.choice)
	if err != nil {
		return nil, nil, err
	}
	placeObject(c.choice.object, finder)
	given := engine.Given{
		Children: placedObjects(c.given.Children, finder), Related: placedObjects(c.given.Related, finder),
		Made: map[string]*unstructured.Unstructured{},
	}
	for name, o := range c.given.Made {
		given.Made[name] = placedObjects([]*unstructured.Unstructured{o}, finder)[0]
	}
	trials := &engine.Trials{
		Definition: c.choice.definition, Installation: c.try.installation(c.choice.definition, given.Children), Finder: finder,
		Logger:   logr.Discard(), // What goes wrong is a part of the outcome.
		Composer: c.composer,
	}
	tried, err := trials.Try(ctx, c.choice.object.DeepCopy(), given)
	if err := errors.Join(err, trials.Close()); err != nil {
		return nil, nil, err
	}
	tried.Notes = append(notes, tried.Notes...)
	got, err := outcomeOf(c.try.result(c.choice, tried), tried)
	return got, tried, err
}

// update writes what came into the file.
func (c *testCase) update(got cases.Outcome) error {
	text, err := c.Rewrite(cases.Update(c.Expect, got))
	if err != nil {
		return err
	}
	info, err := os.Stat(c.Path)
	if err == nil {
		err = writeAtomically(c.Path, text, info.Mode().Perm())
	}
	if err != nil {
		return fmt.Errorf("updating a case: %w", err)
	}
	return nil
}

// maskedDifference is a difference without what is secret.
func maskedDifference(d cases.Difference, redact func(string) string) testDifference {
	isSecret := func(value any) bool {
		object, _ := value.(map[string]any)
		return object["kind"] == "Secret" && object["apiVersion"] == "v1"
	}
	if redact == nil {
		redact = func(text string) string { return text }
	}
	m, path := masker{redact: redact, secret: isSecret(d.Want) || isSecret(d.Got)}, []string(nil)
	if d.Section != cases.Children && d.Section != cases.Patches {
		path = []string{string(d.Section)}
	}
	masked := testDifference{Section: string(d.Section), Name: d.Name, title: d.String()}
	if d.Want != nil {
		masked.Want = m.mask(path, d.Want, nil)
	}
	if d.Got != nil {
		masked.Got = m.mask(path, d.Got, d.Want)
	}
	return masked
}
