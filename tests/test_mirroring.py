"""The tests mirror the packages: a module's test stands at the module's place, or the list says where."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PACKAGES = ("search_spaces", "supernet", "nas_peft")

TESTED_ELSEWHERE = {
    "supernet/operations.py": (
        "supernet/test_layer.py",
        "an operation is a part of a layer, whose laws hold on every model family",
    ),
    "supernet/scoring_tree.py": ("supernet/test_scoring.py", "the tree by which scoring shares layers"),
    "supernet/module_stack.py": ("supernet/test_pack.py", "the modules of a pack, of every kind"),
    "supernet/targets.py": ("supernet/test_training_loss.py", "the targets of every loss"),
    "supernet/packed_training.py": ("supernet/test_pack.py", "each network of a pack ends as if alone"),
    "supernet/recipe.py": ("supernet/test_training.py", "the learning rates of a training"),
    "supernet/training_loop.py": (
        "supernet/test_training.py",
        "the loop of every training",
    ),
    "supernet/state_names.py": ("supernet/test_weights_file.py", "names are mapped of whole files"),
    "supernet/images.py": ("nas_peft/data/test_image_rows.py", "every result on rows is that on a tensor"),
    "nas_peft/data/cache_entry.py": ("nas_peft/data/test_decoded_set.py", "damage of whole entries"),
    "nas_peft/data/data_cache.py": ("nas_peft/data/test_decoded_set.py", "room, locks and leftovers"),
    "nas_peft/data/findings.py": ("nas_peft/data/test_decoded_set.py", "stored ones are those of memory"),
    "nas_peft/data/source_digest.py": ("nas_peft/data/test_decoded_set.py", "each change is noticed"),
    "nas_peft/data/use_lock.py": ("nas_peft/data/test_image_file.py", "an open file is in use"),
    "nas_peft/cli/cache_options.py": (
        "nas_peft/cli/test_cache.py",
        "options of the commands that read images",
    ),
    "nas_peft/data/image_files.py": ("nas_peft/data/test_folder_walk.py", "what a walk takes for images"),
    "nas_peft/data/remarks.py": ("nas_peft/data/test_duplicates.py", "sentences on a real data set"),
    "nas_peft/data/origin.py": ("nas_peft/data/test_larger_images.py", "the same images are read again"),
    "nas_peft/data/source.py": ("nas_peft/data/test_label_table.py", "mistakes before anything is decoded"),
    "nas_peft/data/text_lists.py": ("nas_peft/data/test_label_table.py", "lists of real tasks and tables"),
    "nas_peft/__main__.py": ("nas_peft/cli/test_app.py", "the command line as a module"),
    "nas_peft/audit/plot.py": ("nas_peft/audit/test_stage.py", "drawn of a whole audit"),
    "nas_peft/audit/sample.py": ("nas_peft/audit/test_result.py", "a result begins with its sample"),
    "nas_peft/audit/table.py": ("nas_peft/audit/test_stage.py", "printed of a whole audit"),
    **dict.fromkeys(
        (
            f"nas_peft/cli/{command}.py"
            for command in ("backbones", "datasets", "recipes", "schema", "spaces")
        ),
        ("nas_peft/cli/test_lists.py", "one list for each command, compared with what there is"),
    ),
    "nas_peft/cli/two_columns.py": ("nas_peft/cli/test_help_screen.py", "the columns of every help"),
    "nas_peft/cli/run_options.py": ("faults/test_moved_runs.py", "data of a finished run that have moved"),
    "nas_peft/cli/usage_errors.py": ("faults/test_hostile_inputs.py", "wrong words of every command"),
    "supernet/subnet_header.py": ("faults/test_hostile_inputs.py", "altered headers of a real subnet file"),
    "nas_peft/cli/ray_options.py": ("nas_peft/cli/test_search.py", "annotations; mistakes in their values"),
    "nas_peft/data/catalogue.py": ("nas_peft/cli/test_lists.py", "compared with what is read"),
    "nas_peft/run/noted_options.py": (
        "nas_peft/run/test_config_file.py",
        "the options that a configuration file has beside the configuration",
    ),
    "nas_peft/settings/command_options.py": (
        "nas_peft/cli/test_option_sources.py",
        "options of the command line and of files",
    ),
    "nas_peft/settings/metric.py": ("nas_peft/training/test_metrics.py", "every metric beside scikit-learn"),
    "nas_peft/settings/panels.py": ("nas_peft/cli/test_help_screen.py", "the panels of the help"),
    "nas_peft/settings/recipe_catalogue.py": (
        "nas_peft/cli/test_lists.py",
        "compared with methods and baselines",
    ),
    "nas_peft/settings/validation.py": (
        "nas_peft/settings/test_search_config.py",
        "every mistake in a configuration",
    ),
    **dict.fromkeys(
        (
            f"nas_peft/corruptions/{module}.py"
            for module in ("batch", "blur", "catalogue", "digital", "geometry", "noise", "plasma", "weather")
        ),
        ("nas_peft/corruptions/test_corrupting.py", "corruptions are tested on pictures"),
    ),
    **dict.fromkeys(
        (
            f"nas_peft/robustness/{module}.py"
            for module in ("command", "models", "options", "plot", "result", "table")
        ),
        ("nas_peft/cli/test_robustness.py", "measured, printed and drawn of a finished run"),
    ),
    **dict.fromkeys(
        (f"nas_peft/dashboard/{module}.py" for module in ("notes", "pictures", "shown_run")),
        ("nas_peft/dashboard/test_server.py", "read by a browser and from the dashboard's answers"),
    ),
    "nas_peft/run/several_displays.py": (
        "nas_peft/tracking/test_tracked_progress.py",
        "a tracker is a second display",
    ),
    "nas_peft/tracking/finished_run.py": (
        "nas_peft/tracking/test_tracked_progress.py",
        "a finished run is told to a tracker",
    ),
    "nas_peft/compare/runs.py": ("nas_peft/cli/test_compare.py", "read from folders of real runs"),
    "nas_peft/compare/table.py": ("nas_peft/cli/test_compare.py", "printed of folders of real runs"),
    **dict.fromkeys(
        (
            f"nas_peft/deployment/{module}.py"
            for module in (
                *("check_images", "extra", "folding", "form", "hub_folder", "latency_cost"),
                *("onnx_model", "peft_adapter"),
                "subnet_checkpoint",
                *("timm_checkpoint", "timm_hub_folder", "torch_program", "verification"),
            )
        ),
        ("nas_peft/deployment/test_exporting.py", "a part of an export, which is tested as a whole"),
    ),
    "nas_peft/deployment/row_choice.py": ("nas_peft/cli/test_export.py", "rows of a finished run"),
    "nas_peft/deployment/run_subnet.py": ("nas_peft/cli/test_export.py", "subnets of a finished run"),
    "nas_peft/evaluation/labelled_images.py": ("nas_peft/cli/test_evaluate.py", "parts of a real data set"),
    "nas_peft/prediction/image_paths.py": ("nas_peft/cli/test_predict.py", "files and folders of a command"),
    "nas_peft/prediction/output.py": ("nas_peft/cli/test_predict.py", "printed and written by a command"),
    "nas_peft/front/export.py": ("nas_peft/cli/test_front.py", "any point of a finished run"),
    "nas_peft/front/plot.py": ("nas_peft/cli/test_front.py", "drawn of a finished run"),
    "nas_peft/front/table.py": ("nas_peft/cli/test_front.py", "printed of a finished run"),
    "nas_peft/protocol/compared_trainings.py": (
        "nas_peft/test_baselines_job.py",
        "needs trainings: the grid, the choice, the seal of the test set",
    ),
    "nas_peft/protocol/comparison_stage.py": (
        "nas_peft/test_baselines_job.py",
        "a job without a search is this stage",
    ),
    "nas_peft/cli/progress_options.py": ("nas_peft/cli/test_search.py", "options of a command that runs"),
    "nas_peft/protocol/decision_words.py": (
        "nas_peft/protocol/test_confidence.py",
        "sentences on decisions that are made there",
    ),
    "nas_peft/protocol/metric_columns.py": (
        "nas_peft/protocol/test_results_table.py",
        "columns of the table of a finished run",
    ),
    "nas_peft/protocol/metric_words.py": (
        "nas_peft/protocol/test_confidence.py",
        "words of every metric's decision",
    ),
    "nas_peft/protocol/sections.py": ("nas_peft/cli/test_show.py", "printed of a finished run"),
    "nas_peft/protocol/reading.py": (
        "nas_peft/test_baselines_job.py",
        "opens the test set of a whole comparison, once",
    ),
    "nas_peft/protocol/row_results.py": ("nas_peft/test_baselines_job.py", "made of a whole comparison"),
    **dict.fromkeys(
        (
            f"nas_peft/report/{module}.py"
            for module in (
                *("comparison_page", "costs_table", "inherited_chart"),
                *("loss_charts", "number_texts", "options_section", "pictures", "reported_run", "rows_chart"),
                *("rows_table", "search_charts", "use_section"),
            )
        ),
        ("nas_peft/report/test_run_page.py", "a section of the page of a whole run"),
    ),
    "nas_peft/report/data_table.py": ("nas_peft/report/test_chart.py", "the numbers behind a plot"),
    "nas_peft/report/kind_places.py": (
        "nas_peft/report/test_architecture_chart.py",
        "the order of the drawing's lanes",
    ),
    "nas_peft/report/mark_names.py": ("nas_peft/report/test_chart.py", "names beside the marks of a plot"),
    "nas_peft/report/svg.py": ("nas_peft/report/test_chart.py", "the picture of a plot"),
    "nas_peft/run/export.py": ("nas_peft/test_main_job.py", "the file that a finished run has exported"),
    "nas_peft/planning/levels.py": ("nas_peft/planning/test_plan.py", "read by plans alone"),
    "nas_peft/run/finished_search.py": ("nas_peft/cli/test_front.py", "reads a finished run"),
    **dict.fromkeys(
        (f"nas_peft/run/progress_{way}.py" for way in ("bars", "json", "lines", "log")),
        ("nas_peft/run/test_progress.py", "ways to show the same progress"),
    ),
    "nas_peft/run/task_inputs.py": (
        "nas_peft/run/test_search_inputs.py",
        "the part that all jobs have",
    ),
    "nas_peft/protocol/run_result.py": (
        "nas_peft/test_main_job.py",
        "the file that a finished run has written",
    ),
    "nas_peft/run/run.py": ("nas_peft/test_main_job.py", "what all stages of a run share"),
    "nas_peft/run/stage_records.py": ("nas_peft/test_resuming.py", "records that a resumed run reads"),
    "nas_peft/scoring/inherited_network.py": ("nas_peft/stages/test_inherited.py", "compared with its folds"),
    "nas_peft/scoring/scorer.py": ("nas_peft/scoring/test_ray_scorer.py", "to the last bit like the workers"),
    "nas_peft/searching/searchers/new_proposals.py": (
        "nas_peft/searching/searchers/test_conformance.py",
        "every searcher proposes through it: new, within the budget, complete",
    ),
    "nas_peft/searching/searchers/nsga2.py": (
        "nas_peft/searching/searchers/test_optuna_study.py",
        "the laws of Optuna's samplers",
    ),
    "nas_peft/searching/searchers/random_search.py": (
        "nas_peft/searching/searchers/test_conformance.py",
        "has no law of its own",
    ),
    "nas_peft/searching/searchers/searcher.py": (
        "nas_peft/searching/searchers/test_conformance.py",
        "the contract that every searcher keeps",
    ),
    "nas_peft/searching/searchers/task.py": (
        "nas_peft/searching/searchers/test_front_search.py",
        "fields; the range beyond the budget is what a front is searched in",
    ),
    "nas_peft/searching/searchers/tpe.py": (
        "nas_peft/searching/searchers/test_optuna_study.py",
        "the laws of Optuna's samplers",
    ),
    **dict.fromkeys(
        (f"nas_peft/serving/{module}.py" for module in ("allowed_folder", "answers", "metrics")),
        ("nas_peft/serving/test_api.py", "what endpoints of a real server answer"),
    ),
    "nas_peft/serving/limits.py": (
        "nas_peft/serving/test_request_body.py",
        "values that other modules keep to",
    ),
    "nas_peft/serving/refusal.py": ("nas_peft/serving/test_api.py", "each refusal is one line of JSON"),
    "nas_peft/settings/baselines_config.py": (
        "nas_peft/settings/test_search_config.py",
        "fields and mistakes of both configurations",
    ),
    "nas_peft/settings/lists.py": ("nas_peft/settings/test_search_config.py", "the fields that hold lists"),
    "nas_peft/settings/training_config.py": (
        "nas_peft/settings/test_search_config.py",
        "fields and mistakes of both configurations",
    ),
    "nas_peft/stages/supernet_training.py": ("nas_peft/stages/test_supernet.py", "a part of the stage"),
    "nas_peft/training/final_models.py": (
        "nas_peft/protocol/test_averaging_stage.py",
        "tested and exported models of a whole comparison",
    ),
    "nas_peft/training/packed_trainings.py": (
        "nas_peft/training/test_packs.py",
        "records and tensors of a pack are those of training alone",
    ),
    "nas_peft/training/training.py": (
        "nas_peft/training/test_trainings.py",
        "fields and the key of a training",
    ),
    "nas_peft/training/training_record.py": (
        "nas_peft/training/test_ray_trainings.py",
        "records that are kept, and read instead of trained again",
    ),
    "nas_peft/training/training_worker.py": ("nas_peft/training/test_ray_trainings.py", "needs Ray"),
    "nas_peft/training/ray_tasks.py": ("nas_peft/training/test_ray_trainings.py", "needs Ray"),
}
"""Modules without a test of their own: where they are tested, and why there."""

OF_SEVERAL_MODULES = {
    "supernet/test_module_pull.py": "the penalty of modules, for every kind, alone and in packs",
    "nas_peft/stages/test_robust_objective.py": "an objective of supernets, search, trainings and choice",
    "search_spaces/test_imports.py": "what the package imports",
    "nas_peft/cli/test_lists.py": "the commands that list what there is",
    "supernet/test_imports.py": "what the package imports",
    "supernet/test_image_size.py": "backbones, supernets and checkpoints at another image size",
    "supernet/test_devices.py": "every computation on a GPU keeps to it",
    "supernet/test_recipes_on_a_gpu.py": "every part of a recipe keeps to the GPU",
    "nas_peft/library/test_documentation.py": "the snippets of docs/python.md",
    "nas_peft/searching/searchers/test_conformance.py": "the contract, for every searcher",
    "nas_peft/searching/searchers/test_front_search.py": "the contract of those that search a front",
    "nas_peft/test_stages_on_a_gpu.py": "every stage of the tool keeps to its GPU",
    "nas_peft/test_resuming.py": "killed in each stage and resumed",
    "nas_peft/training/test_two_machines.py": "the loss of a machine of a cluster",
}
"""Tests that belong to no single module, and what they are about."""


def modules() -> set[str]:
    files = {p.relative_to(ROOT) for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    return {str(file) for file in files if file.name != "__init__.py"}


def mirrored(test: str) -> str:
    """The module that a test is named after."""
    path = Path(test)
    return str(path.with_name(path.name.removeprefix("test_")))


def own_tests() -> set[str]:
    return {str(p.relative_to(TESTS)) for package in PACKAGES for p in (TESTS / package).rglob("test_*.py")}


def test_every_module_has_a_test_at_its_place_or_is_in_the_list():
    own = {mirrored(test) for test in own_tests()}
    assert modules() - own == set(TESTED_ELSEWHERE)


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_the_list_names_a_test_and_a_reason(module: str):
    test, reason = TESTED_ELSEWHERE[module]
    assert (TESTS / test).is_file()
    assert len(reason) > 8


def test_every_test_is_named_after_its_module_or_is_in_the_list():
    there = modules()
    assert {test for test in own_tests() if mirrored(test) not in there} == set(OF_SEVERAL_MODULES)


def test_a_test_without_a_module_is_noticed():
    assert mirrored("nas_peft/run/test_progress.py") == "nas_peft/run/progress.py"
    assert mirrored("nas_peft/run/test_progres.py") not in modules()
