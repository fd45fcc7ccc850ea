package daemon

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"kooperd.dev/kooperd/pkg/cases"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// testFlags are the settings of the command test.
type testFlags struct {
	configs  []string
	crds     crdFlags
	external externalFlags
	pattern  string
	update   bool
	format   string
}

const formatJUnit = "junit"

const testLong = `test runs cases: files that say what a definition makes of an object. It asks the same code as a running kooperd, as try
does, contacts nothing, and changes nothing but, with --update, those files. It is for definitions whose plugin is a function,
as apply is.

A case is a YAML file whose name ends in _test.yaml. DIR is such a file, or a folder with such files in and below it. The
fields of a case are:

  object       the object, or the path of a file that has it
  children     objects that the definition has made for it before: an object for each child, by the child's name, or a list of
               objects and paths of files, as try --children takes them
  related      a list of other objects that there are, and of paths of files or folders with such
  definition   the definition; default: the one that watches the kind of the object
  config       a path, or a list of them; default: --config, or else controllers.cue, .yaml, .yml or .json in the folder of the
               case or the nearest one above it, as far as the folder above DIR
  crds         paths of CustomResourceDefinitions; default: --crds
  expect       what should come of it

Paths are relative to the folder of the case. In expect, these are compared when they are there:

  children       every child by its name, whole, as kooperd applies it, without the marks of kooperd; <generated> stands for a
                 value that generate makes
  patches        what is contributed to other objects, by the names of the patches
  metadata       labels and annotations of the object that are written
  status         the status of the object, without conditions and observedGeneration
  statusPending  parts of the status that are not known yet
  conditions     status, reason and message of each condition, by its type
  requeueAfter   after which time the object is looked at again

And these are compared always: what is not expected there must not happen.

  error        why nothing is known, or something cannot be done
  excluded     why the definition does not handle the object
  problems     what is wrong and keeps no child from being made
  refused      children that kooperd does not touch, by their names, each with the reason
  pending      children that are not known yet, and what they wait for
  waiting      children that are known and not made yet, and what for
  deleted      objects that are deleted

A program that says what should exist (exec with compose) is run only with --run-programs, and a service (webhook) is called
only with --hook. Cases that need more than was allowed are skipped, and say so. That a program or a service changes nothing is
its own promise.

Of a child with update: createOnly that is there already, only the name is compared: it is left as it is. In the data of an
expected Secret, [REDACTED] stands for any value.

Values of Secrets are not shown in differences. Output is colored on a terminal, unless NO_COLOR is set. With -o json it is
one document with the list cases, each with name, file, definition, result (passed, failed, skipped or updated), and what
there is to say: why, at, diff, differences and notes. With -o junit it is an XML report as CI systems read it.

Exit status: 0 all cases have passed or were skipped, 1 a case has failed, 2 bad usage, or a mistake in a case or the config.`

func newTestCommand(registry *handlers.Registry) *cobra.Command {
	var flags testFlags
	cmd := &cobra.Command{
		Use:   "test DIR...",
		Short: "Compare what definitions make of objects with what files say, without a cluster",
		Long:  testLong,
		Example: "  kooperd test examples/website\n" +
			"  kooperd test cases --config controllers.cue --run 'first|again'\n" +
			"  kooperd test cases --update",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &testRun{flags: flags, registry: registry, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), configs: map[string]*testConfig{}}
			return r.run(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&flags.configs, "config", "c", nil, "config file or folder of the cases that name none; may be repeated")
	flags.crds.add(f)
	f.StringVar(&flags.pattern, "run", "", "run only cases whose names match this regular expression")
	flags.external.add(f)
	f.BoolVar(&flags.update, "update", false, "write what came into the cases that expect something else")
	f.StringVarP(&flags.format, "format", "o", formatText, "text, json or junit")
	return cmd
}

// testRun is one run of the command.
type testRun struct {
	flags    testFlags
	registry *handlers.Registry
	stdout   io.Writer
	stderr   io.Writer
	configs  map[string]*testConfig // by their paths; nil for one with mistakes
	mistakes bool                   // some were told
}

// foundCase is the file of a case, and how many folders above it may have its config.
type foundCase struct {
	path   string
	levels int
}

// run runs all cases, if there are no mistakes in any.
func (r *testRun) run(cmd *cobra.Command, dirs []string) error {
	if err := checkFormat(r.flags.format, formatText, formatJSON, formatJUnit); err != nil {
		return err
	}
	if err := r.flags.external.parse(); err != nil {
		return err
	}
	pattern, err := regexp.Compile(r.flags.pattern)
	if err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	if err := onlyFiles(r.flags.configs); err != nil {
		return err
	}
	found, err := findCases(dirs, pattern)
	if err != nil {
		return err
	}
	var ready []*testCase
	for _, f := range found {
		if c := r.prepare(cmd.Context(), f); c != nil {
			ready = append(ready, c)
		}
	}
	if err := r.flags.external.check(r.definitions()); err != nil && !r.mistakes {
		return err
	}
	if r.mistakes {
		return errSilent
	}
	report := testReport{Cases: []testResult{}}
	for _, c := range ready {
		result, err := r.try(cmd.Context(), c)
		if err != nil {
			return &runError{err}
		}
		report.add(result)
	}
	if err := r.print(report); err != nil {
		return err
	}
	if report.Failed > 0 {
		return &runError{errSilent}
	}
	return nil
}

// definitions are those of all configs.
func (r *testRun) definitions() (all []config.Definition) {
	for _, name := range slices.Sorted(maps.Keys(r.configs)) {
		if loaded := r.configs[name]; loaded != nil {
			all = append(all, loaded.Definitions...)
		}
	}
	return all
}

// findCases returns the cases in folders whose names match.
func findCases(dirs []string, pattern *regexp.Regexp) (found []foundCase, err error) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		files, err := cases.Find([]string{dir})
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if seen[file] || !pattern.MatchString(file[:len(file)-len(cases.Suffix)]) {
				continue
			}
			seen[file] = true
			found = append(found, foundCase{path: file, levels: levelsBelow(dir, file) + 1})
		}
	}
	if len(found) == 0 {
		return nil, errors.New("there is no case whose name matches --run")
	}
	return found, nil
}

// levelsBelow is how many folders lie between a folder and a file in it.
func levelsBelow(dir, file string) (levels int) {
	rel, err := filepath.Rel(dir, file)
	if err != nil || rel == "." {
		return 0
	}
	for rel = filepath.Dir(rel); rel != "."; rel = filepath.Dir(rel) {
		levels++
	}
	return levels
}
