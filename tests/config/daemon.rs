//! Repeats the tests of the directives' effects in a process group: they equal those of embedded
//! mode.

use crate::support::in_a_process_group;

macro_rules! once_more {
    ($($module:ident: $($test:ident)+;)+) => {$(
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::in_a_process_group(crate::$module::$test);
                }
            )+
        }
    )+};
}

once_more! {
    effects:
        authorization_is_a_key_where_it_is_passed
        error_statuses_get_the_servers_documents
        a_401_keeps_its_challenge
        a_head_is_seen_as_the_setting_says;
    htaccess:
        names_an_application
        is_in_force_at_once
        a_mistake_is_a_500_with_a_line_and_harms_no_one_else
        allow_override_limits_the_directives
        flags_are_merged_over_those_around;
    merging:
        the_flag_of_the_innermost_section_applies
        files_on_disk_too
        the_application_of_the_innermost_section_answers;
    options:
        the_innermost_and_last_line_holds
        values_are_what_stands_there;
    sections:
        applies_to_what_its_section_does
        folders_are_mod_dirs
        the_application_sees_the_file
        over_a_mount
        the_handler_alone_is_none
        access_control_comes_first;
    mounts:
        script_name_and_path_info
        rewritten_to_a_mount
        the_root
        regular_expressions_as_documented;
}
