"""Dependencies between the sandbox's modules."""

import sys

import grimp


def test_there_are_no_import_cycles() -> None:
    graph = grimp.build_graph("saas_sandbox", exclude_type_checking_imports=True, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}

    while leaves := [name for name, targets in imports.items() if not targets & imports.keys()]:
        for name in leaves:
            del imports[name]

    assert not imports, "a cycle is among these"


def test_the_sandbox_does_not_import_the_application() -> None:
    graph = grimp.build_graph("saas_sandbox", include_external_packages=True, cache_dir=None)
    packages = graph.find_children("saas_sandbox") and {
        name.partition(".")[0] for name in graph.modules
    }

    allowed = {
        "click", "flask", "joserfc", "marshmallow", "requests", "saas_sandbox", "stripe",
        "typing_extensions", "werkzeug",
    }  # fmt: skip
    assert packages - set(sys.stdlib_module_names) <= allowed
